package verify

import (
	"crypto/sha256"
	"crypto/x509"

	"countersign.dev"
)

// Again holds a chain that was verified before, perhaps by another generation or
// another store, against this one. It decides as Verify does about what was
// presented. But signatures do not change: a path that leads to an anchor of
// this store is looked at with today's rules alone, which takes a tenth of the
// time. Only if it does not pass are others looked for, where there can be any.
func (s *Store) Again(c Chain, o Options) (Chain, *countersign.Denial) {
	presented := c.Presented()
	if !c.held() || len(presented) == 0 || o.Trace != nil {
		return s.Verify(presented, o)
	}
	p := newProof(presented, c.proof.path[1:], s) // its head may be at rest
	if !s.anchored(p.path[len(p.path)-1]) {
		return s.Verify(presented, o)
	}
	o.setDefaults(s)
	if d := s.shape(presented, &o); d != nil {
		return Chain{}, d
	}
	goodUntil, _, d := s.judge(p.path, &o)
	p.alone = c.proof.alone && s.origin.anchors == c.proof.origin.anchors
	switch {
	case d == nil:
		p.goodUntil, p.ignoreExpiry, p.lapse = goodUntil, o.IgnoreExpiry, o.lapse(p.path)
		return Chain{proof: p}, nil
	case p.alone:
		return Chain{}, d
	}
	return s.Verify(presented, o)
}

// anchored reports whether that very certificate is an anchor here.
func (s *Store) anchored(c *x509.Certificate) bool { return s.fingerprints[sha256.Sum256(c.Raw)] }
