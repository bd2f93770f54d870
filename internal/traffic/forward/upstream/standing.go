package upstream

import (
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
)

// Terms are those of a single target.
type Terms struct {
	Weight int    // its share, compared with those of the others; 0: it gets no requests
	Zone   string // where it is; "": nowhere in particular
}

// A standing is what decides how much of the traffic of its group a target gets.
type standing struct {
	name string // by which the configuration has it: its address, or what that was found by
	mark uint64

	// Guarded by the roster's mu.
	terms        Terms
	founding     bool      // it came when the group had no targets: those begin together
	rampFrom     time.Time // when it began to get its share little by little; zero: it has it
	ejectedUntil time.Time // zero: it is not
	penalty      int       // how often its share is halved, because it fails more than the others
	before       tally     // at the last judgement

	usable    atomic.Bool  // it is in the ring
	taken     atomic.Int64 // requests, on a group that counts them
	watch     atomic.Pointer[lookout]
	failures  atomic.Int64 // in a row
	exchanges atomic.Uint64
	errors    atomic.Uint64 // of the exchanges
	ejections atomic.Uint64
}

func (s *standing) init(m member) {
	s.name, s.terms = m.name, m.terms
	s.mark = uint64(balance.KeyOfString(m.address))
}

// wanted reports whether the target is to have requests at all. Its caller holds
// the roster's mu.
func (t *Target) wanted() bool { return t.terms.Weight > 0 }
