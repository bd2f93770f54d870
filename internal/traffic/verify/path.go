package verify

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/constraint"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/vouch"
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
// Validity, purposes and keys are for judge. Only keys that an anchor vouches
// for are used, at most vouch.MaxChecks times to find out which,
// then 100 times by crypto/x509.
func (s *Store) build(presented []*x509.Certificate, now time.Time) ([]issuers, *countersign.Denial) {
	set := s.byName.Find(presented, s.memory.knows)
	set.Certificates = slices.DeleteFunc(set.Certificates, func(c *x509.Certificate) bool { return constraint.Unknown(c) != "" })
	limited := s.limited.Or(constraint.Limited(set.Certificates...))
	leaf := ageless(presented[0])
	constraint.Claim(leaf, true, limited)
	original := make(map[*x509.Certificate]*x509.Certificate, len(set.Certificates))
	intermediates := x509.NewCertPool()
	for _, c := range set.Certificates {
		copied := ageless(c)
		constraint.Claim(copied, false, limited)
		original[copied] = c
		intermediates.AddCert(copied)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: s.ageless, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, s.whyNoPath(presented, &set, err)
	}
	paths := make([]issuers, 0, len(chains))
	for _, chain := range chains {
		path := make(issuers, 0, len(chain)-1)
		for _, c := range chain[1:] {
			if anchor := s.original[c]; anchor != nil {
				path = append(path, anchor)
			} else {
				path = append(path, original[c])
			}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// whyNoPath finds words for the failure of crypto/x509, which says little more
// than "unknown authority". It follows issuer by issuer and stops at the first
// step that cannot be taken. It decides nothing, and uses no key that no anchor
// vouches for.
func (s *Store) whyNoPath(presented []*x509.Certificate, set *vouch.Set, err error) *countersign.Denial {
	leaf := presented[0]
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.CANotAuthorizedForThisName {
		return deny(countersign.ClientCertUntrusted, "%s: the name constraints of a CA on its path forbid its names: %s; let a CA issue it that may, or let it have other names", describe.Certificate(leaf), excerpt(invalid.Detail))
	}
	if set.Exhausted {
		return deny(countersign.ClientCertUntrusted, "%s: %d signatures were checked and no path to a CA of trust store %q was found, because of the many CAs with one name; let CAs have names of their own, or their certificates key identifiers",
			describe.Certificate(leaf), set.Checks, s.name)
	}
	const mostChecks, mostFaults = 16, 3
	checks := 0
	current := leaf
	passed := map[*x509.Certificate]bool{} // CAs of one name may seem to issue each other in a circle
	for below := 0; below < len(presented); below++ {
		who := describe.Certificate(current)
		if current != leaf {
			who = describe.Certificate(leaf) + ": above it, " + who
		}
		if why := s.keys.checkSignature(current); why != "" {
			return deny(countersign.ClientCertTypeUnsupported, "%s: %s", who, why)
		}
		passed[current] = true
		parents, anchor := s.issuersByName(current, presented)
		parents = slices.DeleteFunc(slices.Clone(parents), func(p *x509.Certificate) bool { return passed[p] })
		if len(parents) == 0 {
			return deny(countersign.ClientCertUntrusted, "%s", s.issuerUnknown(current, who, len(presented)))
		}
		var next *x509.Certificate
		var faults []string
		for _, p := range parents {
			vouched := anchor || set.Contains(p)
			if vouched {
				if checks++; checks > mostChecks {
					break
				}
			}
			if why := constraint.Unknown(p); why != "" {
				return deny(countersign.ClientCertInvalid, "%s: %s; let the CA above it issue it again without them", describe.Certificate(p), why)
			}
			if len(p.UnhandledCriticalExtensions) > 0 {
				return deny(countersign.ClientCertInvalid, "%s", unknownExtension(p))
			}
			if fault := cannotIssue(p, current, below, vouched); fault != "" {
				faults = append(faults, fault)
			} else if next == nil {
				next = p
			}
		}
		if next == nil {
			if len(faults) == 0 {
				break
			}
			return deny(countersign.ClientCertUntrusted, "%s: %s", who, strings.Join(faults[:min(len(faults), mostFaults)], "; "))
		}
		if anchor {
			break
		}
		current = next
	}
	return deny(countersign.ClientCertUntrusted, "%s: no path leads to a CA of trust store %q: %v; let a CA of the trust store issue it again", describe.Certificate(leaf), s.name, excerpt(err.Error()))
}

// excerpt bounds a text of crypto/x509, which repeats names at any length.
func excerpt(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// issuersByName returns the certificates that bear the name of c's issuer:
// those of the trust store, or else those that were presented.
func (s *Store) issuersByName(c *x509.Certificate, presented []*x509.Certificate) (found []*x509.Certificate, anchor bool) {
	if found = s.byName[string(c.RawIssuer)]; len(found) > 0 {
		return found, true
	}
	for _, p := range presented[1:] {
		if bytes.Equal(p.RawSubject, c.RawIssuer) && !bytes.Equal(p.Raw, c.Raw) {
			found = append(found, p)
		}
	}
	return found, false
}

func (s *Store) issuerUnknown(c *x509.Certificate, who string, presented int) string {
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		return fmt.Sprintf("%s is self-signed and not in trust store %q; let a CA of the trust store issue to the client", who, s.name)
	}
	return fmt.Sprintf("%s: its issuer is neither among the %d CAs of trust store %q nor among the %d certificates that the client presented; add the CA to the store, or let the client send its intermediates",
		who, len(s.anchors), s.name, presented)
}

// cannotIssue says why p is not the issuer of c although it bears its name;
// below is the number of CAs between p and the leaf. The signature of c is
// checked if an anchor vouches for p.
func cannotIssue(p, c *x509.Certificate, below int, vouched bool) string {
	switch {
	case !p.BasicConstraintsValid || !p.IsCA:
		return "its issuer " + describe.Certificate(p) + " is no CA certificate; let a CA issue to clients"
	case p.KeyUsage != 0 && p.KeyUsage&x509.KeyUsageCertSign == 0:
		return "the key usage of its issuer " + describe.Certificate(p) + " does not let it sign certificates; let that CA be issued again with keyCertSign, or let another one issue to clients"
	case p.MaxPathLen >= 0 && below > p.MaxPathLen:
		return fmt.Sprintf("its issuer %s allows %d intermediate CAs below it, and there are %d; let it issue to clients itself, or let it be issued again with a longer path", describe.Certificate(p), p.MaxPathLen, below)
	}
	if !vouched {
		return ""
	}
	if err := c.CheckSignatureFrom(p); err != nil {
		return fmt.Sprintf("it is not signed by the key of %s, which bears its issuer's name: another CA with the same name, or a damaged certificate (%v); put the CA that signed it into the trust store, or let the client send the right intermediate", describe.Certificate(p), err)
	}
	return ""
}
