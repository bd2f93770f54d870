package revocation

import (
	"crypto/sha256"
	"crypto/x509"
	"time"
)

// LookedUp is how many certificates of a verified path, from the leaf on, Check
// looks up; the one behind each is its issuer.
func (c *Checker) LookedUp(path []*x509.Certificate) int { return c.lookedUp(path) }

// Speaks reports whether a list in date speaks for the certificate that by
// issued. It is so if by may sign no lists: then none ever counts.
func (c *Checker) Speaks(cert, by *x509.Certificate, now time.Time) bool {
	if !maySignLists(by) {
		return true
	}
	all := c.byIssuer[string(by.RawSubject)]
	if len(all) == 0 {
		return false
	}
	ca := issuer{by, sha256.Sum256(by.RawSubjectPublicKeyInfo)}
	for _, l := range all {
		if l.complete.Covers(cert) && c.outOfDate(l.newest(), now) == "" && c.unsigned(l, &ca) == nil {
			return true
		}
	}
	return false
}

// MaySignLists reports whether a CA's key usage lets it sign revocation lists
// (RFC 5280 section 6.3.3 (f)).
func MaySignLists(ca *x509.Certificate) bool { return maySignLists(ca) }
