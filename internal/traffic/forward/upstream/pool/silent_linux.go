//go:build linux && !386 && !s390x

package pool

import (
	"syscall"
	"unsafe"
)

// silent reports whether a read from the connected socket fd would have to wait.
// The scheduler is not told, see package direct: it is asked before every request
// on a connection that was kept.
func silent(fd int, b []byte) bool {
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return errno == syscall.EAGAIN
		}
	}
}
