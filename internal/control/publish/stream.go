package publish

import (
	"slices"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/forward/stream"
	"countersign.dev/internal/traffic/keepalive"
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

// probing says when a peer is given up; nil where that is as sockets have it, so
// that nothing has to be set on each connection.
func probing(after, unacknowledged, usual time.Duration) *keepalive.Settings {
	if after == usual && unacknowledged == 0 {
		return nil
	}
	return &keepalive.Settings{After: after, Unacknowledged: unacknowledged}
}

// What sockets have by themselves: those that listen, and those that the net
// package dials.
const (
	listenerKeepAlive = 30 * time.Second
	targetKeepAlive   = 15 * time.Second
)
