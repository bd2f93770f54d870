package keepalive

import (
	"os"
	"syscall"
	"time"

	"countersign.dev/internal/traffic/socket"
)

// userTimeout is TCP_USER_TIMEOUT, for which package syscall has no name on every
// architecture; its value is in milliseconds (tcp(7)).
const userTimeout = 18

func setUserTimeout(c socket.Conn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(d.Milliseconds())))
	})
	if failed != nil {
		return failed
	}
	return err
}
