//go:build (linux && (386 || s390x)) || darwin || freebsd || netbsd || openbsd

package pool

import "syscall"

// silent reports whether a read from the connected socket fd would have to wait.
func silent(fd int, b []byte) bool {
	for {
		_, _, err := syscall.Recvfrom(fd, b, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return err == syscall.EAGAIN
		}
	}
}
