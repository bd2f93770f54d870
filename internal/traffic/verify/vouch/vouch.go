package vouch

import (
	"bytes"
	"crypto/x509"
)

// MaxChecks bounds the signatures that are checked to find the issuers of
// one chain. An ordinary chain takes one for each intermediate.
const MaxChecks = 50

// Anchors are the certificates of a trust store, by name.
type Anchors map[string][]*x509.Certificate

// NewAnchors indexes anchors.
func NewAnchors(all []*x509.Certificate) Anchors {
	a := make(Anchors, len(all))
	for _, c := range all {
		a[string(c.RawSubject)] = append(a[string(c.RawSubject)], c)
	}
	return a
}

// A Set is what Find found.
type Set struct {
	Certificates []*x509.Certificate // issuers that an anchor vouches for, perhaps through others of them
	Checks       int                 // signatures that were checked for it
	Exhausted    bool                // MaxChecks were not enough
}

// Find returns the issuers among presented[1:], in their order. presented[0] is
// the client's own certificate. vouched reports a certificate that was on a
// good path before, for which no signature is checked again; nil: none was.
//
// Certificates that cannot be issuers, duplicates, and anchors that the client
// sends as well are left out.
func (a Anchors) Find(presented []*x509.Certificate, vouched func(*x509.Certificate) bool) Set {
	var s Set
	waiting := make([]*x509.Certificate, 0, len(presented))
	for i, c := range presented {
		if i > 0 && canIssue(c) && !a.contain(c) && !contains(presented[:i], c) {
			waiting = append(waiting, c)
		}
	}
	chosen := make([]bool, len(waiting))
	var issuers []*x509.Certificate // chosen, whose own signatures are still to be looked for
	for i, c := range waiting {
		if vouched != nil && vouched(c) || s.signed(c, a[string(c.RawIssuer)]) {
			chosen[i], issuers = true, append(issuers, c)
		}
	}
	for len(issuers) > 0 {
		issuer := issuers[:1]
		for i, c := range waiting {
			if !chosen[i] && s.signed(c, issuer) {
				chosen[i], issuers = true, append(issuers, c)
			}
		}
		issuers = issuers[1:]
	}
	for i, c := range waiting {
		if chosen[i] {
			s.Certificates = append(s.Certificates, c)
		}
	}
	return s
}

// Contains reports whether c is one of the set, or has the same bytes.
func (s *Set) Contains(c *x509.Certificate) bool { return contains(s.Certificates, c) }

// signed reports whether one of the issuers has signed c. Those whose key
// identifier c names come first, so that CAs of one name cost nothing as a rule.
func (s *Set) signed(c *x509.Certificate, issuers []*x509.Certificate) bool {
	for _, named := range [...]bool{true, false} {
		for _, p := range issuers {
			if !bytes.Equal(p.RawSubject, c.RawIssuer) || names(c, p) != named || bytes.Equal(p.Raw, c.Raw) {
				continue
			}
			if s.Checks >= MaxChecks {
				s.Exhausted = true
				return false
			}
			s.Checks++
			if c.CheckSignatureFrom(p) == nil {
				return true
			}
		}
	}
	return false
}

// names reports whether c names p by its key identifier.
func names(c, p *x509.Certificate) bool {
	return len(c.AuthorityKeyId) > 0 && bytes.Equal(c.AuthorityKeyId, p.SubjectKeyId)
}

func canIssue(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0)
}

func (a Anchors) contain(c *x509.Certificate) bool { return contains(a[string(c.RawSubject)], c) }

func contains(all []*x509.Certificate, c *x509.Certificate) bool {
	for _, o := range all {
		if o == c || bytes.Equal(o.Raw, c.Raw) {
			return true
		}
	}
	return false
}
