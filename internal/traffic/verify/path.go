package verify

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
)

// ageless returns a copy of c that is always valid. crypto/x509 builds paths
// for one instant and drops what is not valid then, without a word as to which
// certificate of which path; and for an expired leaf under ignore_expiry there
// may be no instant at which the whole path was valid. So paths are built of
// such copies, and checkValidity looks at the originals.
func ageless(c *x509.Certificate) *x509.Certificate {
	copied := *c
	copied.NotBefore = time.Time{}
	copied.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	return &copied
}

// build finds the paths from presented[0] to the anchors whose signatures,
// basic constraints, path lengths, name constraints and policies are right.
// Validity, purposes and keys are for judge. crypto/x509 gives up after 100
// signature checks, which bounds the work for a hostile set of intermediates.
func (s *Store) build(presented []*x509.Certificate, now time.Time) ([]issuers, *countersign.Denial) {
	copies := make([]*x509.Certificate, len(presented))
	intermediates := x509.NewCertPool()
	for i, c := range presented {
		copies[i] = ageless(c)
		if i > 0 {
			intermediates.AddCert(copies[i])
		}
	}
	chains, err := copies[0].Verify(x509.VerifyOptions{
		Roots: s.ageless, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, s.whyNoPath(presented, err)
	}
	paths := make([]issuers, 0, len(chains))
	for _, chain := range chains {
		path := make(issuers, 0, len(chain)-1)
		for _, c := range chain[1:] {
			path = append(path, s.originalOf(c, presented, copies))
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (s *Store) originalOf(c *x509.Certificate, presented, copies []*x509.Certificate) *x509.Certificate {
	if o := s.original[c]; o != nil {
		return o
	}
	for i := range copies {
		if copies[i] == c {
			return presented[i]
		}
	}
	// A duplicate that CertPool merged still has the same bytes.
	for _, p := range presented {
		if bytes.Equal(p.Raw, c.Raw) {
			return p
		}
	}
	return c
}

// whyNoPath finds words for the failure of crypto/x509, which says little more
// than "unknown authority". It follows issuer by issuer and stops at the first
// step that cannot be taken. It decides nothing.
func (s *Store) whyNoPath(presented []*x509.Certificate, err error) *countersign.Denial {
	leaf := presented[0]
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.CANotAuthorizedForThisName {
		return deny(countersign.ClientCertUntrusted, "%s: the name constraints of a CA on its path forbid its names: %s", describe.Certificate(leaf), invalid.Detail)
	}
	const mostChecks, mostFaults = 16, 3
	checks := 0
	current := leaf
	for below := 0; below < len(presented); below++ {
		if why := s.keys.checkSignature(current); why != "" {
			return deny(countersign.ClientCertTypeUnsupported, "%s: %s", describe.Certificate(current), why)
		}
		parents, anchor := s.issuersByName(current, presented)
		if len(parents) == 0 {
			return deny(countersign.ClientCertUntrusted, "%s", s.issuerUnknown(current, len(presented)))
		}
		var next *x509.Certificate
		var faults []string
		for _, p := range parents {
			if checks++; checks > mostChecks {
				break
			}
			if len(p.UnhandledCriticalExtensions) > 0 {
				return deny(countersign.ClientCertInvalid, "%s has the critical extension %v, which is not understood here", describe.Certificate(p), p.UnhandledCriticalExtensions[0])
			}
			if fault := cannotIssue(p, current, below); fault != "" {
				faults = append(faults, fault)
			} else if next == nil {
				next = p
			}
		}
		if next == nil {
			return deny(countersign.ClientCertUntrusted, "%s: %s", describe.Certificate(current), strings.Join(faults[:min(len(faults), mostFaults)], "; "))
		}
		if anchor {
			break
		}
		current = next
	}
	return deny(countersign.ClientCertUntrusted, "%s: no path leads to a CA of trust store %q: %v", describe.Certificate(leaf), s.name, err)
}

// issuersByName returns the certificates that bear the name of c's issuer:
// those of the trust store, or else those that were presented.
func (s *Store) issuersByName(c *x509.Certificate, presented []*x509.Certificate) (found []*x509.Certificate, anchor bool) {
	for _, a := range s.anchors {
		if bytes.Equal(a.RawSubject, c.RawIssuer) {
			found = append(found, a)
		}
	}
	if len(found) > 0 {
		return found, true
	}
	for _, p := range presented[1:] {
		if bytes.Equal(p.RawSubject, c.RawIssuer) && !bytes.Equal(p.Raw, c.Raw) {
			found = append(found, p)
		}
	}
	return found, false
}

func (s *Store) issuerUnknown(c *x509.Certificate, presented int) string {
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		return fmt.Sprintf("%s is self-signed and not in trust store %q", describe.Certificate(c), s.name)
	}
	return fmt.Sprintf("%s: its issuer is neither among the %d CAs of trust store %q nor among the %d certificates that the client presented; add the CA to the store, or let the client send its intermediates",
		describe.Certificate(c), len(s.anchors), s.name, presented)
}

// cannotIssue says why p is not the issuer of c although it bears its name;
// below is the number of CAs between p and the leaf.
func cannotIssue(p, c *x509.Certificate, below int) string {
	switch {
	case !p.BasicConstraintsValid || !p.IsCA:
		return "its issuer " + describe.Certificate(p) + " is no CA certificate"
	case p.KeyUsage != 0 && p.KeyUsage&x509.KeyUsageCertSign == 0:
		return "the key usage of its issuer " + describe.Certificate(p) + " does not let it sign certificates"
	case p.MaxPathLen >= 0 && below > p.MaxPathLen:
		return fmt.Sprintf("its issuer %s allows %d intermediate CAs below it, and there are %d", describe.Certificate(p), p.MaxPathLen, below)
	}
	if err := c.CheckSignatureFrom(p); err != nil {
		return fmt.Sprintf("it is not signed by the key of %s, which bears its issuer's name: another CA with the same name, or a damaged certificate (%v)", describe.Certificate(p), err)
	}
	return ""
}
