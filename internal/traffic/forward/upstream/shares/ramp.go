package shares

import "time"

// rampSteps is in how many steps a target that has become healthy is given its
// share.
const rampSteps = 20

// ramp returns what part of its share t has now, above 0, 1 at most: it grows
// evenly for as long as slow_start says.
func (g *Group) ramp(t *Target, now time.Time) float64 {
	if t.rampFrom.IsZero() || g.rules.SlowStart <= 0 {
		return 1
	}
	part := float64(now.Sub(t.rampFrom)) / float64(g.rules.SlowStart)
	return min(1, max(part, 1./rampSteps))
}

// rise begins to give t its share little by little, now that it has become
// healthy: unless nobody else has a whole share, for then somebody has to serve.
func (g *Group) rise(t *Target, now time.Time) {
	t.rampFrom = time.Time{}
	if g.rules.SlowStart <= 0 {
		return
	}
	for _, other := range g.targets {
		if other != t && other.eligible() && g.ramp(other, now) >= 1 {
			t.rampFrom = now
			return
		}
	}
}

// rising reports whether the shares of some target still grow, and when it is
// time for the next step.
func (g *Group) rising(now time.Time) (next time.Duration, rising bool) {
	for _, t := range g.targets {
		if t.rampFrom.IsZero() {
			continue
		}
		if g.ramp(t, now) >= 1 {
			t.rampFrom = time.Time{}
		}
		rising = true
	}
	return max(10*time.Millisecond, g.rules.SlowStart/rampSteps), rising
}
