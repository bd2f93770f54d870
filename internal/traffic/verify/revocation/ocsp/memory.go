package ocsp

import (
	"cmp"
	"crypto/x509"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// MaxAnswers is how many answers a Memory keeps where nothing else is said, of
// about 250 bytes each.
const MaxAnswers = 1 << 18

// A Memory keeps answers for all trust stores. It is bounded, and safe for
// concurrent use.
type Memory struct {
	answers *otter.Cache[Key, *Answer]

	hits, misses atomic.Uint64
}

// NewMemory returns a Memory for that many answers; 0: MaxAnswers.
func NewMemory(most int) *Memory {
	return &Memory{answers: otter.Must(&otter.Options[Key, *Answer]{
		MaximumSize: cmp.Or(most, MaxAnswers),
		Executor:    func(task func()) { task() }, // no goroutine that nobody waits for
	})}
}

// Put keeps an answer in the place of the one before, and returns the one that
// is kept: an answer that is older than the one before is not, since whoever
// replays it wants a revocation forgotten. That there is no answer does not take
// the place of one that counts.
func (m *Memory) Put(k Key, a *Answer, now time.Time) (before, kept *Answer) {
	kept, _ = m.answers.Compute(k, func(old *Answer, found bool) (*Answer, otter.ComputeOp) {
		before = old
		if !found {
			before = nil
		} else if old.Status != "" && (a.Status == "" && now.Before(old.NextUpdate) || a.Status != "" && a.ThisUpdate.Before(old.ThisUpdate)) {
			still := *old
			still.Again, still.Fault, still.Failures = a.Again, a.Fault, a.Failures
			return &still, otter.WriteOp
		}
		return a, otter.WriteOp
	})
	return before, kept
}

// Get returns what is known, nil for nothing. The caller must not change it.
func (m *Memory) Get(k Key) *Answer {
	a, _ := m.answers.GetIfPresent(k)
	return a
}

// Len is how many answers there are.
func (m *Memory) Len() int { return m.answers.EstimatedSize() }

// Used is how often a decision found an answer in the memory, and how often none.
func (m *Memory) Used() (hits, misses uint64) { return m.hits.Load(), m.misses.Load() }

// A View is what decisions see of a Memory: the answers that were got under
// certain terms.
type View struct {
	*Memory
	Terms [32]byte
}

// Find returns what is known of a certificate, nil for nothing. It never waits.
func (v *View) Find(issuer *x509.Certificate, serial *big.Int) *Answer {
	a := v.Get(KeyOf(v.Terms, issuer, serial))
	if a == nil {
		v.misses.Add(1)
	} else {
		v.hits.Add(1)
	}
	return a
}
