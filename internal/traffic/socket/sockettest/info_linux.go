package sockettest

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Info is what the kernel tells of a connection (TCP_INFO).
func Info(t testing.TB, c syscall.Conn) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		if failed := raw.Control(func(fd uintptr) {
			info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		}); failed != nil {
			err = failed
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return info
}
