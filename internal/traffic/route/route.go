package route

import (
	"countersign.dev"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/respond"
	"countersign.dev/internal/traffic/route/condition"
)

// An Action is what becomes of a request once it is authorized.
type Action struct {
	// Forward is the target group that gets the request.
	Forward *upstream.Group
	// Metrics counts the requests of this listener to that group.
	Metrics *telemetry.GroupMetrics
	// Respond answers the request in the place of a target. nil: Forward gets it.
	Respond respond.Handler
	// Enrolls: devices get their certificates there, and those may ask that have
	// none of their own yet.
	Enrolls bool
	// Renews: a device may have a certificate renewed there that has expired.
	Renews bool
	// Public is for every client that the policy of the connection lets in, whatever
	// device it is, or none.
	Public bool
	// Require is what must hold of the request beside; nil: nothing.
	Require *credential.Requirement
	// Reply answers the request in the place of a target; nil: it does not.
	Reply *Reply
	// Refuse is why nobody gets anything; nil: somebody may.
	Refuse *countersign.Denial
	// Rewrite changes what the target is asked for; nil: nothing.
	Rewrite *Rewrite
	// Settle is what the client gets in Rule.Cookie, to come to the same target group
	// again; 0: it has that already, or none.
	Settle uint64
	// Close: who is refused is not told why; the connection ends.
	Close bool
	// Rule is whose action it is; nil: the default's, or the node's own.
	Rule *Rule
}

// A Table is the compiled routes of one listener: immutable, safe for
// concurrent use.
type Table struct {
	// Own are the paths that the node answers itself, before all else: those that
	// end in "/" stand for what is below them too.
	Own map[string]Action
	// Rules come next; nil: there are none.
	Rules *Rules
	// Default takes every request that no rule takes.
	Default Action
}

// Match returns the action for what q asks, or a Denial with the code NoRoute or
// AmbiguousPath. It allocates nothing, unless it refuses.
func (t *Table) Match(q *condition.Question) (Action, *countersign.Denial) {
	if len(t.Own) > 0 && q.Request != nil {
		if a, ok := t.own(q.Request.Path); ok {
			return a, nil
		}
	}
	if t.Rules != nil {
		switch rule, denial := t.Rules.match(q); {
		case denial != nil:
			return Action{}, denial
		case rule != nil:
			return rule.action(q), nil
		}
	}
	if t.Default.Forward == nil && t.Default.Reply == nil && t.Default.Refuse == nil {
		return Action{}, countersign.Deny(countersign.StageRoute, countersign.NoRoute,
			"no rule takes this and the listener has no default; give it default: {forward: GROUP}")
	}
	return t.Default, nil
}

// own finds the action of the longest path that is path, or above it.
func (t *Table) own(path []byte) (Action, bool) {
	if a, ok := t.Own[string(path)]; ok {
		return a, true
	}
	for n := len(path) - 1; n > 0; n-- {
		if path[n-1] == '/' {
			if a, ok := t.Own[string(path[:n])]; ok {
				return a, true
			}
		}
	}
	return Action{}, false
}
