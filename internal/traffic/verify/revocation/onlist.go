package revocation

import (
	"crypto/sha256"
	"crypto/x509"
)

// OnList reports whether a certificate of a verified path, of those that Check
// looks up, is on a list.
func (c *Checker) OnList(path []*x509.Certificate) bool {
	for i := range c.lookedUp(path) {
		by := path[i+1]
		all := c.byIssuer[string(by.RawSubject)]
		if len(all) == 0 {
			continue
		}
		ca := issuer{by, sha256.Sum256(by.RawSubjectPublicKeyInfo)}
		for _, l := range all {
			if c.unsigned(l, &ca) != nil {
				continue
			}
			if _, on := l.lookup(path[i].SerialNumber); on != nil {
				return true
			}
		}
	}
	return false
}

// lookedUp is how many certificates of a path, from the leaf on, are looked up.
func (c *Checker) lookedUp(path []*x509.Certificate) int {
	if c.cfg.Scope == ScopeChain {
		return len(path) - 1
	}
	// A path of one is an anchor by itself: nobody above it issues lists.
	return min(1, len(path)-1)
}
