package stream

import (
	"golang.org/x/sys/unix"

	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/socket"
)

// A caller waits for a target: it is an upstream.Peer.
type caller struct{ socket socket.Conn }

// Left reports whether it has broken off. The end of its own side alone does not
// say so: it may be through, and listen.
func (c caller) Left() bool {
	is, err := direct.Poll(c.socket, 0)
	return err != nil || is&(unix.POLLHUP|unix.POLLERR) != 0
}
