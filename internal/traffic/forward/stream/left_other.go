//go:build !linux

package stream

import (
	"countersign.dev/internal/traffic/socket"
)

// A caller waits for a target: it is an upstream.Peer.
type caller struct{ socket socket.Conn }

// Left reports whether it has broken off: here that is noticed when there is a target.
func (caller) Left() bool { return false }
