package upstream

import (
	"fmt"
	"slices"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// A ring is the set of targets that may be picked at present.
type ring struct {
	targets []*Target
	weights []float64 // nil: all alike
	picker  balance.Picker
	marks   map[uint64]int32 // by Target.Mark, on a group that keeps clients at targets; nil: not made
	source  shares.Source
	none    *countersign.Denial // if there are no targets
}

func (r *ring) index(t *Target) int { return slices.Index(r.targets, t) }

// marked returns the index of the target with that mark, -1 if it is not here.
func (r *ring) marked(mark uint64) int {
	if i, ok := r.marks[mark]; ok {
		return int(i)
	}
	return -1
}

// build makes the ring of the targets that may be picked now, and has those who
// wait for a place look at it. The caller holds mu.
func (r *roster) build(now time.Time) {
	in, from := r.shares.Choose(now)
	why := fmt.Sprintf("none of its %d targets is healthy, and fail_open is off", len(r.targets))
	switch {
	case len(r.targets) == 0:
		why = "it has no targets"
		if r.names.unresolved() {
			why = "it has no targets: " + r.names.why()
		}
	case !slices.ContainsFunc(r.targets, func(t *Target) bool { return t.share.Wanted() }):
		why = fmt.Sprintf("the weight of all its %d targets is 0", len(r.targets))
	}
	r.install(r.at(in), from, why, now)
}

// at returns the targets with those indexes. The caller holds mu.
func (r *roster) at(in []int) []*Target {
	targets := make([]*Target, len(in))
	for n, i := range in {
		targets[n] = r.targets[i]
	}
	return targets
}

// install puts a ring of usable into force; why says why there are none, if so.
// The caller holds mu.
func (r *roster) install(usable []*Target, from shares.Source, why string, now time.Time) {
	next := &ring{targets: usable, source: from, weights: r.weigh(usable, now)}
	members := make([]balance.Member, len(usable))
	for i, t := range usable {
		members[i] = t
	}
	next.picker = r.algorithm.Over(balance.Set{Members: members, Weights: next.weights, InFlight: r.taken.Load})
	if r.plan.Stickiness != nil {
		next.marks = make(map[uint64]int32, len(usable))
		for i, t := range usable {
			next.marks[t.Mark()] = int32(i)
		}
	}
	if len(usable) == 0 {
		next.source = shares.FromNothing
		next.none = countersign.Deny(countersign.StageForward, countersign.NoHealthyTarget, "target group %q: %s", r.name, why)
	}
	if before := r.ring.Load(); before != nil {
		for _, t := range before.targets {
			t.usable.Store(false)
		}
	}
	for _, t := range usable {
		t.usable.Store(true)
	}
	r.ring.Store(next)
	r.line.serve(r)
}

// weigh returns the weights of targets as they are now. nil: all are alike. The
// caller holds mu.
func (r *roster) weigh(targets []*Target, now time.Time) []float64 {
	weights, alike := make([]float64, len(targets)), true
	for i, t := range targets {
		weights[i] = r.shares.Weight(t.share, now)
		alike = alike && weights[i] == weights[0]
	}
	if alike && r.plan.Algorithm != "hash" { // which gives a target of weight 2 twice as many points, not all of them as many
		return nil
	}
	return weights
}
