package upstream

import (
	"fmt"
	"slices"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health"
)

// A ring is the set of targets that may be picked at present.
type ring struct {
	targets []*Target
	weights []float64 // nil: all alike
	picker  balance.Picker
	marks   map[uint64]int32 // by Target.Mark, on a group that keeps clients at targets; nil: not made
	source  source
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

// A source says where the targets of a ring were taken from.
type source string

const (
	fromHealthy source = "healthy"
	fromZone    source = "zone" // the healthy ones of the node's own zone
	fromInitial source = "initial"
	fromAll     source = "all"
	fromNothing source = "none"
)

// build makes the ring of the targets that may be picked now, and has those who
// wait for a place look at it. The caller holds mu.
func (r *roster) build(now time.Time) {
	usable, from := r.choose(now)
	why := fmt.Sprintf("none of its %d targets is healthy, and fail_open is off", len(r.targets))
	switch {
	case len(r.targets) == 0:
		why = "it has no targets"
		if r.names.unresolved() {
			why = "it has no targets: " + r.names.why()
		}
	case !slices.ContainsFunc(r.targets, (*Target).wanted):
		why = fmt.Sprintf("the weight of all its %d targets is 0", len(r.targets))
	}
	r.install(usable, from, why, now)
}

// choose returns which of the targets may be picked, and why these.
func (r *roster) choose(now time.Time) ([]*Target, source) {
	in := func(s health.State) (in []*Target) {
		for _, t := range r.targets {
			if t.wanted() && t.status().State == s {
				in = append(in, t)
			}
		}
		return in
	}
	if healthy := in(health.Healthy); len(healthy) > 0 {
		if here := r.here(healthy); len(here) > 0 && len(here) < len(healthy) {
			if sound := sound(here, now); len(sound) > 0 {
				return sound, fromZone
			}
		}
		if sound := sound(healthy, now); len(sound) > 0 {
			return sound, fromHealthy
		}
		return healthy, fromHealthy // all of them eject each other: then nobody is worse than the rest
	}
	if initial := in(health.Initial); len(initial) > 0 {
		return initial, fromInitial
	}
	if r.plan.FailOpen {
		all := slices.DeleteFunc(slices.Clone(r.targets), func(t *Target) bool { return !t.wanted() })
		return all, fromAll
	}
	return nil, fromNothing
}

// here returns those of the node's zone, if only they are to be used.
func (r *roster) here(targets []*Target) (here []*Target) {
	if !r.plan.OwnZone {
		return nil
	}
	for _, t := range targets {
		if t.terms.Zone == r.plan.Zone {
			here = append(here, t)
		}
	}
	return here
}

// sound returns those that are not ejected.
func sound(targets []*Target, now time.Time) (sound []*Target) {
	for _, t := range targets {
		if !now.Before(t.ejectedUntil) {
			sound = append(sound, t)
		}
	}
	return sound
}

// install puts a ring of usable into force; why says why there are none, if so.
// The caller holds mu.
func (r *roster) install(usable []*Target, from source, why string, now time.Time) {
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
		next.source = fromNothing
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

// weigh returns the weights of targets as they are now: those of the
// configuration, less what a target lacks because it has just become healthy, or
// fails more than the others. nil: all are alike. The caller holds mu.
func (r *roster) weigh(targets []*Target, now time.Time) []float64 {
	weights, alike := make([]float64, len(targets)), true
	for i, t := range targets {
		weights[i] = float64(t.terms.Weight) * r.ramp(t, now) * t.mitigation()
		alike = alike && weights[i] == weights[0]
	}
	if alike && r.plan.Algorithm != "hash" { // which gives a target of weight 2 twice as many points, not all of them as many
		return nil
	}
	return weights
}
