//go:build !linux

package stream

import "net"

// A caller waits for a target: it is an upstream.Peer.
type caller struct{ socket *net.TCPConn }

// Left reports whether it has broken off: here that is noticed when there is a target.
func (caller) Left() bool { return false }
