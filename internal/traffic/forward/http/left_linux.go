package http

import (
	"countersign.dev/internal/traffic/direct"
	"golang.org/x/sys/unix"
)

// Left is upstream.Peer's. Nothing is read: behind what the client has sent already,
// which may be another request or the end of TLS, its FIN shows too.
func (f *Front) Left() bool {
	tcp := direct.Socket(f.conn)
	if tcp == nil {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true
	}
	left := false
	err = raw.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(set, 0)
		left = err == nil && n > 0 && set[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return left || err != nil
}
