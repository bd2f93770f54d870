package verify

import (
	"crypto/x509"
	"fmt"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
)

// defaultDepth is AWS's limit, counted from the leaf to the anchor: a leaf, two
// intermediates and a root.
const defaultDepth = 4

// Options is what a listener's policy asks beyond the trust store.
type Options struct {
	MaxChainDepth int        // certificates from leaf to anchor, both counted; 0: 4
	IgnoreExpiry  bool       // certificates of the path that have expired pass; those not yet valid never do
	Renewal       *Renewal   // of expired leaves; nil: none
	Now           time.Time  // zero: the Store's clock
	Trace         func(Step) // told of every check, in order; nil in live traffic
}

func (o *Options) setDefaults(s *Store) {
	if o.Now.IsZero() {
		o.Now = s.now()
	}
	if o.MaxChainDepth == 0 {
		o.MaxChainDepth = defaultDepth
	}
}

// A Step is one check, in words for the operator.
type Step struct {
	Check  string // "shape", "memory", "path", "depth", "purpose", "keys", "validity", "accept", "revocation"
	OK     bool
	Detail string
}

// Verify holds a presented chain against the store. The client is always
// presented[0], whose private key the handshake proved; the other certificates
// only help to find a path from it to an anchor. If several paths exist, one
// that passes every check is enough. The Chain keeps the slice: the caller must
// not change it afterwards.
func (s *Store) Verify(presented []*x509.Certificate, o Options) (Chain, *countersign.Denial) {
	o.setDefaults(s)
	if d := s.shape(presented, &o); d != nil {
		return Chain{}, o.refused("shape", d)
	}
	if o.Trace != nil {
		o.passed("shape", "%d certificates presented; the client is the first, %s", len(presented), describe.Certificate(presented[0]))
	}
	key := keyOf(presented)
	paths := s.memory.get(key)
	known := paths != nil
	if known {
		if o.Trace != nil {
			o.passed("memory", "the path of this chain was found before under this generation of trust store %q", s.name)
		}
	} else {
		var d *countersign.Denial
		if paths, d = s.build(presented, o.Now); d != nil {
			return Chain{}, o.refused("path", d)
		}
	}
	var telling *countersign.Denial
	furthest := -1
	for _, issuers := range paths {
		p := newProof(presented, issuers, s)
		goodUntil, stage, d := s.judge(p.path, &o)
		if d == nil {
			if !known {
				s.memory.put(key, paths)
			}
			p.goodUntil, p.ignoreExpiry, p.alone = goodUntil, o.IgnoreExpiry, len(paths) == 1
			p.lapse = o.lapse(p.path)
			return Chain{proof: p}, nil
		}
		if stage > furthest {
			telling, furthest = d, stage
		}
	}
	return Chain{}, telling
}

// newProof makes the proof for one path. It is the one allocation on the way of
// a remembered chain.
func newProof(presented []*x509.Certificate, path issuers, s *Store) *proof {
	p := &proof{presented: presented, origin: s.origin}
	p.path = append(append(p.inline[:0], presented[0]), path...)
	return p
}

// judge applies to one path what can change with time, with the listener or
// with the trust store. These checks run every time, for a remembered chain
// too. stage is how far a refused path came.
func (s *Store) judge(path []*x509.Certificate, o *Options) (goodUntil time.Time, stage int, denial *countersign.Denial) {
	if o.Trace != nil {
		o.passed("path", "%s", pathInWords(path))
	}
	goodUntil, stage, d := s.fit(path, o)
	if d != nil {
		return goodUntil, stage, d
	}
	var trace func(bool, string)
	if o.Trace != nil {
		report := o.Trace // the closure must not hold o, which would move it to the heap for everybody
		trace = func(ok bool, detail string) { report(Step{"revocation", ok, detail}) }
	}
	until, d := s.revocation.Check(path, o.Now, trace)
	if d != nil {
		return goodUntil, stage, d
	}
	return earlier(goodUntil, until), stage + 1, nil
}

// fit is judge without revocation.
func (s *Store) fit(path []*x509.Certificate, o *Options) (goodUntil time.Time, stage int, denial *countersign.Denial) {
	if d := checkDepth(path, o); d != nil {
		return goodUntil, 0, o.refused("depth", d)
	}
	if d := checkPurpose(path, o); d != nil {
		return goodUntil, 1, o.refused("purpose", d)
	}
	if d := s.checkKeys(path, o); d != nil {
		return goodUntil, 2, o.refused("keys", d)
	}
	goodUntil, d := checkValidity(path, o)
	if d != nil {
		return goodUntil, 3, o.refused("validity", d)
	}
	if d := s.checkAccept(path[0], o); d != nil {
		return goodUntil, 4, o.refused("accept", d)
	}
	return goodUntil, 5, nil
}

// earlier returns the earlier of two instants of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (o *Options) passed(check, format string, args ...any) {
	o.Trace(Step{check, true, fmt.Sprintf(format, args...)})
}

func (o *Options) refused(check string, d *countersign.Denial) *countersign.Denial {
	if o.Trace != nil {
		o.Trace(Step{check, false, d.Reason})
	}
	return d
}

func deny(code countersign.Code, format string, args ...any) *countersign.Denial {
	return countersign.Deny(countersign.StageVerify, code, format, args...)
}

func pathInWords(path []*x509.Certificate) string {
	words := describe.Subject(path[0])
	for _, c := range path[1:] {
		words += ", issued by " + describe.Subject(c)
	}
	return words + ", which is in the trust store"
}
