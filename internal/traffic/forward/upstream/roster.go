package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health"
)

// A roster is what the Groups of one name have in common, whatever
// configuration they come from: the live targets and which of them may be
// picked. The ring is read without a lock; mu is for those who change it.
type roster struct {
	name string
	ring atomic.Pointer[ring]

	mu        sync.Mutex
	targets   []*Target // in the order of the configuration
	leaving   []*Target // removed, not yet gone
	failOpen  bool
	algorithm balance.Algorithm
	named     string // the algorithm's name
	removed   bool   // the group itself is no longer configured
}

// change applies p: it returns the targets that are new, made by add, and those
// that are not wanted any more.
func (r *roster) change(p plan, now time.Time, add func(address string) *Target) (joined, left []*Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.algorithm == nil || r.named != p.Algorithm {
		r.algorithm, r.named = p.algorithm, p.Algorithm
	}
	r.failOpen = p.FailOpen

	next := make([]*Target, len(p.Targets))
	for i, address := range p.Targets {
		at := slices.IndexFunc(r.targets, func(t *Target) bool {
			return t.address == address && t.protocol == p.Protocol && t.overTLS == (p.TLS != nil) && t.announces == p.Proxy && t.check == p.check
		})
		if at < 0 {
			next[i] = add(address)
			joined = append(joined, next[i])
		} else {
			next[i] = r.targets[at]
		}
	}
	for _, t := range r.targets {
		if !slices.Contains(next, t) {
			left = append(left, t)
		}
	}
	r.leave(left, now)
	r.targets = next
	r.ring.Store(newRing(r.name, r.targets, r.failOpen, r.algorithm))
	return joined, left
}

// remove takes the group out of the configuration. Its ring stays as it is, for
// those who still hold a Group of it.
func (r *roster) remove(now time.Time) (left []*Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left = r.targets
	r.leave(left, now)
	r.targets, r.removed = nil, true
	return left
}

func (r *roster) leave(left []*Target, now time.Time) {
	for _, t := range left {
		t.leftAt = now
	}
	r.leaving = append(r.leaving, left...)
}

// forget drops a target that has finished draining.
func (r *roster) forget(t *Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = slices.DeleteFunc(r.leaving, func(have *Target) bool { return have == t })
	if ring := r.ring.Load(); r.removed && ring.index(t) >= 0 {
		rest := slices.DeleteFunc(slices.Clone(ring.targets), func(have *Target) bool { return have == t })
		r.ring.Store(ringOf(r.name, rest, ring.source, "it was removed from the configuration", r.algorithm))
	}
}

// observe takes the result of a check of t. It reports the status after it,
// whether that is another state, and what the ring was taken from before and
// is now.
func (r *roster) observe(t *Target, result health.Result, now time.Time) (s health.Status, changed bool, before, after source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.ring.Load().source
	if !t.leftAt.IsZero() {
		return s, false, before, before // removed while the check was under way
	}
	changed = t.tracker.Observe(result, now)
	if changed {
		r.ring.Store(newRing(r.name, r.targets, r.failOpen, r.algorithm))
	}
	return t.tracker.Status(), changed, before, r.ring.Load().source
}

func (r *roster) targetStatus() []TargetStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]TargetStatus, 0, len(r.targets)+len(r.leaving))
	for _, t := range r.targets {
		all = append(all, t.describe(t.status()))
	}
	for _, t := range r.leaving {
		if s := t.describe(drainingStatus(t.leftAt)); s.InFlight > 0 {
			all = append(all, s)
		}
	}
	return all
}
