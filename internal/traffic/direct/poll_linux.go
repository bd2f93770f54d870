package direct

import (
	"golang.org/x/sys/unix"

	"countersign.dev/internal/traffic/socket"
)

// Poll returns what poll(2) has to say of a socket at this moment, of wanted and of
// what it always tells: POLLHUP and POLLERR. The error is that of a connection that
// is closed. Nothing is read.
func Poll(c socket.Conn, wanted int16) (is int16, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd), Events: wanted}}
		if n, err := unix.Poll(set, 0); err == nil && n > 0 {
			is = set[0].Revents
		}
	})
	return is, err
}
