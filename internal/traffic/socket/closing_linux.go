//go:build !386 && !s390x

package socket

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// os.File announces each close, and the watchman who is woken by it looks about some
// thirty times before he sleeps again: that takes longer than a handshake. So a socket
// is closed by putting something else in its place, which the kernel does with one call
// (dup3) that needs no announcement. The descriptors, with nothing of weight behind
// them any more, are given back many at once.
const (
	together = 1024 // are not waited with any longer
	soon     = 500 * time.Millisecond
)

// closings are all that is to be given back in this process.
var closings closing

type closing struct {
	mu      sync.Mutex
	waiting []*os.File
}

// nothing is a descriptor that no call can read from, write to or wait for.
var nothing = sync.OnceValues(func() (int, error) {
	return unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
})

// release closes the socket as close(2) does, and leaves its descriptor to nothing. It
// reports whether that was possible.
func release(socket syscall.RawConn) bool {
	instead, err := nothing()
	if err != nil {
		return false
	}
	var errno syscall.Errno
	err = socket.Control(func(fd uintptr) {
		_, _, errno = syscall.RawSyscall(syscall.SYS_DUP3, uintptr(instead), fd, syscall.O_CLOEXEC)
	})
	return err == nil && errno == 0
}

// add has f given back soon.
func (c *closing) add(f *os.File) {
	c.mu.Lock()
	c.waiting = append(c.waiting, f)
	n := len(c.waiting)
	c.mu.Unlock()
	switch n {
	case 1:
		time.AfterFunc(soon, func() { c.now() })
	case together:
		c.now()
	}
}

// now gives back what has come together, and reports whether that was anything.
func (c *closing) now() bool {
	c.mu.Lock()
	files := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, f := range files {
		f.Close()
	}
	return len(files) > 0
}

// missing reports whether a call has failed for want of a descriptor, and there are
// some now.
func (c *closing) missing(errno syscall.Errno) bool {
	return (errno == syscall.EMFILE || errno == syscall.ENFILE) && c.now()
}
