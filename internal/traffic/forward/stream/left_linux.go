package stream

import (
	"net"

	"golang.org/x/sys/unix"
)

// A caller waits for a target: it is an upstream.Peer.
type caller struct{ socket *net.TCPConn }

// Left reports whether it has broken off. The end of its own side alone does not
// say so: it may be through, and listen.
func (c caller) Left() bool {
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return true
	}
	left := false
	err = raw.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(set, 0)
		left = err == nil && n > 0 && set[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return left || err != nil
}
