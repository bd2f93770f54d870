package publish

import (
	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/forward/stream"
)

// passing says how a listener passes bytes on.
func passing(l *config.Listener) *stream.Settings {
	return &stream.Settings{Idle: l.Timeouts.Idle, ResetIdle: l.Timeouts.ResetIdle, Lifetime: l.Timeouts.Lifetime}
}
