package shares

import (
	"time"

	"countersign.dev/internal/traffic/forward/health"
)

// A Group is the targets of a group. The zero value has none.
type Group struct {
	rules   Rules
	targets []*Target // in the order of the configuration
	judged  time.Time // when they were compared last
}

// Apply makes the targets of g those, under rules. Those that are new start
// slowly, as rules say, if there were others before.
func (g *Group) Apply(rules Rules, targets []*Target, now time.Time) {
	first, watch := len(g.targets) == 0, rules.lookout()
	g.rules, g.targets = rules, targets
	for _, t := range targets {
		t.watch.Store(watch)
		if t.entered {
			continue
		}
		t.entered, t.founding = true, first
		if t.tracker == nil && !first { // healthy from the beginning
			g.rise(t, now)
		}
	}
}

// Observe takes the result of a check of t, and reports whether that changed its
// health.
func (g *Group) Observe(t *Target, result health.Result, now time.Time) (changed bool) {
	if !t.left.IsZero() {
		return false // removed while the check was under way
	}
	together := t.founding && t.tracker.Status().State == health.Initial
	changed = t.tracker.Observe(result, now)
	if changed && t.tracker.Status().State == health.Healthy && !together {
		g.rise(t, now)
	}
	return changed
}

// A Source says of the targets that may be picked why it is these.
type Source string

const (
	FromHealthy Source = "healthy"
	FromZone    Source = "zone" // the healthy ones of the node's own zone
	FromInitial Source = "initial"
	FromAll     Source = "all"
	FromNothing Source = "none"
)

// Choose returns which of the targets may be picked now, as indexes of those of
// Apply, and why these.
func (g *Group) Choose(now time.Time) ([]int, Source) {
	if healthy := g.in(health.Healthy); len(healthy) > 0 {
		if here := g.here(healthy); len(here) > 0 && len(here) < len(healthy) {
			if sound := g.sound(here, now); len(sound) > 0 {
				return sound, FromZone
			}
		}
		if sound := g.sound(healthy, now); len(sound) > 0 {
			return sound, FromHealthy
		}
		return healthy, FromHealthy // all of them eject each other: then nobody is worse than the rest
	}
	if initial := g.in(health.Initial); len(initial) > 0 {
		return initial, FromInitial
	}
	if g.rules.FailOpen {
		return g.those((*Target).Wanted), FromAll
	}
	return nil, FromNothing
}

func (g *Group) those(which func(*Target) bool) (those []int) {
	for i, t := range g.targets {
		if which(t) {
			those = append(those, i)
		}
	}
	return those
}

// in returns those in state s that are to have requests at all.
func (g *Group) in(s health.State) []int {
	return g.those(func(t *Target) bool { return t.Wanted() && t.Status().State == s })
}

// here returns those of the node's zone, if only they are to be used.
func (g *Group) here(targets []int) (here []int) {
	if !g.rules.OwnZone {
		return nil
	}
	for _, i := range targets {
		if g.targets[i].Terms.Zone == g.rules.Zone {
			here = append(here, i)
		}
	}
	return here
}

// sound returns those that are not ejected.
func (g *Group) sound(targets []int, now time.Time) (sound []int) {
	for _, i := range targets {
		if !now.Before(g.targets[i].ejectedUntil) {
			sound = append(sound, i)
		}
	}
	return sound
}

// Weight returns the weight of t as it is now: that of the configuration, less
// what it lacks because it has just become healthy, or fails more than the
// others.
func (g *Group) Weight(t *Target, now time.Time) float64 {
	return float64(t.Terms.Weight) * g.ramp(t, now) * t.mitigation()
}

// A Description says how much of its share a target has, and why not all of it.
type Description struct {
	Share        float64   // from 0 to 1
	SlowStart    bool      // it grows
	Anomalous    bool      // it is less because the target fails more than the others
	EjectedUntil time.Time // zero: the target is not ejected
	Ejections    uint64    // since registration
}

// Describe describes t. A target that is no longer configured has no share.
func (g *Group) Describe(t *Target, now time.Time) Description {
	d := Description{Anomalous: t.penalty > 0, Ejections: t.ejections}
	switch {
	case !t.left.IsZero():
		return d
	case now.Before(t.ejectedUntil):
		d.EjectedUntil = t.ejectedUntil
	default:
		d.Share = g.ramp(t, now) * t.mitigation()
	}
	d.SlowStart = g.ramp(t, now) < 1
	return d
}
