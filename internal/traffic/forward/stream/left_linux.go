package stream

import (
	"net"

	"golang.org/x/sys/unix"

	"countersign.dev/internal/traffic/direct"
)

// A caller waits for a target: it is an upstream.Peer.
type caller struct{ socket *net.TCPConn }

// Left reports whether it has broken off. The end of its own side alone does not
// say so: it may be through, and listen.
func (c caller) Left() bool {
	is, err := direct.Poll(c.socket, 0)
	return err != nil || is&(unix.POLLHUP|unix.POLLERR) != 0
}
