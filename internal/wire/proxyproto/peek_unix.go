//go:build unix

package proxyproto

import (
	"io"
	"os"
	"syscall"
)

// peek waits for more than known bytes and returns how many of them are in b
// now, where they are still to be read. A connection that ends with fewer is
// found out only if known is 0: then the error is io.EOF.
func peek(c Conn, b []byte, known int) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, failed = look(int(fd), b)
		return failed != syscall.EAGAIN && (failed != nil || n == 0 || n > known)
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, os.NewSyscallError("recvfrom", failed)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// glance is peek that does not wait.
func glance(c Conn, b []byte) (n int) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { n, _ = look(int(fd), b) })
	}
	return max(n, 0)
}

func look(fd int, b []byte) (int, error) {
	for {
		n, _, err := syscall.Recvfrom(fd, b, syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
