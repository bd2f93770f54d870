package upstream

import (
	"time"

	"countersign.dev/internal/traffic/forward/health"
)

// rampSteps is in how many steps a target that has become healthy is given its
// share.
const rampSteps = 20

// ramp returns what part of its share t has now, above 0, 1 at most: it grows
// evenly for as long as slow_start says. The caller holds mu.
func (r *roster) ramp(t *Target, now time.Time) float64 {
	if t.rampFrom.IsZero() || r.plan.SlowStart <= 0 {
		return 1
	}
	part := float64(now.Sub(t.rampFrom)) / float64(r.plan.SlowStart)
	return min(1, max(part, 1./rampSteps))
}

// rise begins to give t its share little by little, now that it has become
// healthy: unless nobody else has a whole share, for then somebody has to serve.
// The caller holds mu.
func (r *roster) rise(t *Target, now time.Time) {
	t.rampFrom = time.Time{}
	if r.plan.SlowStart <= 0 {
		return
	}
	for _, other := range r.targets {
		if other != t && other.wanted() && other.status().State == health.Healthy && r.ramp(other, now) >= 1 {
			t.rampFrom = now
			return
		}
	}
}

// rising reports whether the shares of some target still grow, and when it is
// time for the next step. The caller holds mu.
func (r *roster) rising(now time.Time) (next time.Duration, rising bool) {
	for _, t := range r.targets {
		if t.rampFrom.IsZero() {
			continue
		}
		if r.ramp(t, now) >= 1 {
			t.rampFrom = time.Time{}
		}
		rising = true
	}
	return max(10*time.Millisecond, r.plan.SlowStart/rampSteps), rising
}
