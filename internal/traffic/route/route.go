package route

import (
	"countersign.dev"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// An Action is what becomes of a request once it is authorized.
type Action struct {
	// Forward is the target group that gets the request.
	Forward *upstream.Group
	// Metrics counts the requests of this listener to that group.
	Metrics *telemetry.GroupMetrics
	// Enrolls: devices get their certificates there, and those may ask that have
	// none of their own yet.
	Enrolls bool
}

// A Table is the compiled routes of one listener: immutable, safe for
// concurrent use.
type Table struct {
	// Default takes every request that no rule takes.
	Default Action
}

// Match returns the action for req, or a Denial with the code NoRoute.
func (t *Table) Match(req *http1.Request) (Action, *countersign.Denial) {
	if t.Default.Forward == nil {
		return Action{}, countersign.Deny(countersign.StageRoute, countersign.NoRoute,
			"no rule takes %q and the listener has no default; give it default: {forward: GROUP}", req.Path)
	}
	return t.Default, nil
}
