package turns

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A cord is what a Bell is rung by: an event counter (eventfd(2)), of which each
// addition is an event of its own to the scheduler. So nobody has to read it, and
// its system calls are made without telling the scheduler, for the reason that
// internal/traffic/direct gives.
type cord struct {
	file  *os.File
	raw   syscall.RawConn
	count func(fd uintptr)
}

func newCord() (cord, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return cord{}, fmt.Errorf("make an event counter: %w", os.NewSyscallError("eventfd2", err))
	}
	f := os.NewFile(uintptr(fd), "bell")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return cord{}, err
	}
	return cord{f, raw, count}, nil
}

// count adds one. It would be full after 1<<64 - 1.
func count(fd uintptr) {
	one := uint64(1)
	syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
}

// pull has pulled return.
func (c *cord) pull() { c.raw.Control(c.count) }

// pulled waits until there is something to be done; false: it is cut. What there is
// to do has to be there before pull is called: it is looked for when an event of
// before can no longer be mistaken for the next, and after each event.
func (c *cord) pulled(due func(fd uintptr) bool) bool { return c.raw.Read(due) == nil }

// cut ends the wait, for good.
func (c *cord) cut() { c.file.Close() }
