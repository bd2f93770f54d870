package publish

import (
	"slices"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/forward/stream"
)

// passing says how a listener passes bytes on.
func passing(l *config.Listener) *stream.Settings {
	s := &stream.Settings{Idle: l.Timeouts.Idle, ResetIdle: l.Timeouts.ResetIdle, Lifetime: l.Timeouts.Lifetime}
	if l.Protocol == "tcp" && slices.ContainsFunc(l.Rules, asksName) {
		s.Hello = l.Timeouts.Handshake
	}
	return s
}

// asksName reports whether a rule goes by the server name, which has to be looked
// for then.
func asksName(r config.Rule) bool {
	for w := r.When; w != nil; w = w.Not {
		if len(w.Host) > 0 {
			return true
		}
	}
	return false
}
