package upstream

import (
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// Termination says which connections in use end before those who use them are
// through. It is for groups of protocol tcp and tls, whose connections may last
// for ever; its names are those of AWS's attributes of network balancers.
type Termination struct {
	// Unhealthy: those to a target that turns unhealthy, at once. While a group fails
	// open none end for that, and then as soon as it does not any more.
	Unhealthy bool
	// UnhealthyDraining, without Unhealthy: when the target has been unhealthy for so
	// long; 0: never.
	UnhealthyDraining time.Duration
	// Deregistration: those to a target that was removed, when its delay is over.
	Deregistration bool
}

// forgives is for how long connections in use may go on to a target that is
// unhealthy; negative: for as long as they like.
func (t *Termination) forgives() time.Duration {
	switch {
	case t != nil && t.Unhealthy:
		return 0
	case t != nil && t.UnhealthyDraining > 0:
		return t.UnhealthyDraining
	}
	return -1
}

// stays reports whether connections in use outlive the deregistration delay.
func (t *Target) stays() bool { return t.keeps.Load() && t.InFlight() > 0 }

// connectionsEnd is when the connections in use to t end because it is unhealthy,
// which may be over; zero: they do not. It is for those who hold the roster's mu.
func (t *Target) connectionsEnd() time.Time {
	status, d := t.share.Status(), time.Duration(t.forgiven.Load())
	if status.State != health.Unhealthy || d < 0 || t.roster.ring.Load().source == shares.FromAll {
		return time.Time{}
	}
	return status.Since.Add(d)
}

// terminate closes the connections in use to targets that have been unhealthy for too
// long, and returns when to come again. A target that was removed has its
// deregistration delay instead.
func (f *Fleet) terminate(now time.Time) time.Duration {
	next := seldom
	f.mu.Lock()
	var due []*Target
	for _, t := range f.live {
		if t.forgiven.Load() < 0 {
			continue
		}
		t.roster.mu.Lock()
		at := t.connectionsEnd()
		t.roster.mu.Unlock()
		if at.After(now) {
			next = min(next, at.Sub(now))
		} else if !at.IsZero() {
			due = append(due, t)
		}
	}
	f.mu.Unlock()
	for _, t := range due {
		if n := t.pool.Terminate() + t.privates.Terminate(); n > 0 {
			f.config.Logger.Warn("connections to an unhealthy target were closed",
				"target_group", t.group, "target", t.address, "connections", n)
		}
	}
	return next
}
