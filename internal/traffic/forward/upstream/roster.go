package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/sticky"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// A roster is what the Groups of one name have in common, whatever
// configuration they come from: the live targets and which of them may be
// picked. The ring is read without a lock; mu is for those who change it.
type roster struct {
	name  string
	now   func() time.Time
	ring  atomic.Pointer[ring]
	taken atomic.Int64 // requests at all targets, on a group that counts them
	line  line

	mu        sync.Mutex
	plan      plan
	targets   []*Target // in the order of the configuration
	leaving   []*Target // removed, not yet gone
	names     names
	shares    shares.Group // of targets, in their order
	algorithm balance.Algorithm
	removed   bool // the group itself is no longer configured
}

// change applies p: it returns the targets that are new, made by add, and those
// that are not wanted any more.
func (r *roster) change(p plan, now time.Time, add func(member) *Target) (joined, left []*Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.algorithm == nil || r.plan.Algorithm != p.Algorithm {
		r.algorithm = p.algorithm
	}
	r.plan = p

	have := make(map[string]*Target, len(r.targets))
	for _, t := range r.targets {
		if t.fits(&p) {
			have[t.address] = t
		}
	}
	members := r.members(&p)
	next := make([]*Target, len(members))
	stays := make(map[*Target]bool, len(members))
	theirs := make([]*shares.Target, len(members))
	for i, m := range members {
		t := have[m.address]
		if t == nil {
			t = add(m)
			joined = append(joined, t)
		}
		t.name, t.share.Terms = m.name, m.terms
		next[i], theirs[i], stays[t] = t, t.share, true
	}
	for _, t := range r.targets {
		if !stays[t] {
			left = append(left, t)
		}
	}
	r.leave(left, now)
	r.targets = next
	r.shares.Apply(p.rules(), theirs, now)
	r.build(now)
	return joined, left
}

// fits reports whether t can go on as it is under p.
func (t *Target) fits(p *plan) bool {
	return t.protocol == p.Protocol && t.way.OverTLS == (p.TLS != nil) && t.announces == p.Proxy && t.check.Same(p.check)
}

// inherit gives p what the roster has remembered under the plan before.
func (r *roster) inherit(p *plan) {
	if p.Stickiness == nil || p.Stickiness.By == "cookie" {
		return
	}
	keeps := *p.Stickiness
	if before := r.plan.Stickiness; before != nil && before.By == keeps.By {
		keeps.Memory = before.Memory
	} else {
		keeps.Memory = sticky.NewMemory(r.now)
	}
	keeps.Memory.Keep(keeps.Duration)
	p.Stickiness = &keeps
}

// remove takes the group out of the configuration. Its ring stays as it is, for
// those who still hold a Group of it.
func (r *roster) remove(now time.Time) (left []*Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left = r.targets
	r.leave(left, now)
	r.targets, r.removed = nil, true
	r.shares.Apply(r.plan.rules(), nil, now)
	return left
}

func (r *roster) leave(left []*Target, now time.Time) {
	for _, t := range left {
		t.share.Leave(now)
	}
	r.leaving = append(r.leaving, left...)
}

// forget drops a target that has finished draining.
func (r *roster) forget(t *Target, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = slices.DeleteFunc(r.leaving, func(have *Target) bool { return have == t })
	if ring := r.ring.Load(); r.removed && ring.index(t) >= 0 {
		rest := slices.DeleteFunc(slices.Clone(ring.targets), func(have *Target) bool { return have == t })
		r.install(rest, ring.source, "it was removed from the configuration", now)
	}
}

// observe takes the result of a check of t. It reports the status after it,
// whether that is another state, and what the ring was taken from before and
// is now.
func (r *roster) observe(t *Target, result health.Result, now time.Time) (s health.Status, changed bool, before, after shares.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.ring.Load().source
	if changed = r.shares.Observe(t.share, result, now); changed {
		r.build(now)
	}
	return t.share.Status(), changed, before, r.ring.Load().source
}
