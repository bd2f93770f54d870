package listen

import (
	"net"
	"os"
	"syscall"
)

// Keep-alive probes find out which clients are gone without a word: after so
// many seconds of silence, so far apart, so many without an answer.
const (
	probeAfter = 30
	probeEvery = 15
	probes     = 9
)

// keepAlive has connections probed. On Linux an accepted socket inherits this
// from the one that listens; the net package would make four system calls for
// each connection.
func keepAlive(lc *net.ListenConfig) {
	lc.KeepAlive = -1
	lc.Control = func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			for _, option := range [...]struct{ level, name, value int }{
				{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, probeAfter},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, probeEvery},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, probes},
			} {
				if failed = syscall.SetsockoptInt(int(fd), option.level, option.name, option.value); failed != nil {
					failed = os.NewSyscallError("setsockopt", failed)
					return
				}
			}
		})
		if err != nil {
			return err
		}
		return failed
	}
}
