//go:build !386 && !s390x

package socket

import (
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A pipe is what the kernel moves bytes through, between two sockets.
type pipe struct {
	in, out int
	n       int // bytes in it
}

// pipeSize is how much of a pipe is asked for; a smaller one does as well.
const pipeSize = 1 << 20

// pipes are empty.
var pipes = sync.Pool{New: func() any {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return (*pipe)(nil)
	}
	unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	p := &pipe{out: fds[0], in: fds[1]}
	runtime.AddCleanup(p, func(fds [2]int) { shut(fds[0]); shut(fds[1]) }, fds)
	return p
}}

// Splice has the kernel move bytes from one connection to the other until there
// are no more, which is no error, or until the read deadline, which is
// os.ErrDeadlineExceeded. moved is told of each piece that has gone to the other,
// whose faults are a *WriteError.
func Splice(to, from Conn, moved func(n int)) error {
	source, err := from.SyscallConn()
	if err != nil {
		return err
	}
	sink, err := to.SyscallConn()
	if err != nil {
		return err
	}
	p := pipes.Get().(*pipe)
	if p == nil { // no descriptors are left
		return copied(to, from, moved)
	}
	for first := true; ; first = false {
		n, err := splice(source.Read, func(fd int) (int, error) { return move(fd, p.in, pipeSize) })
		if first && (err == unix.EINVAL || err == unix.ENOSYS) { // not here
			pipes.Put(p)
			return copied(to, from, moved)
		}
		if n == 0 {
			pipes.Put(p)
			return named(err)
		}
		for p.n = n; p.n > 0; p.n -= n {
			n, err = splice(sink.Write, func(fd int) (int, error) { return move(p.out, fd, p.n) })
			if err != nil { // and p with what is in it goes
				return &WriteError{named(err), p.n}
			}
			moved(n)
		}
	}
}

// splice makes one call as soon as wait finds the socket ready for it.
func splice(wait func(func(uintptr) bool) error, call func(fd int) (int, error)) (n int, err error) {
	failed := wait(func(fd uintptr) bool {
		n, err = call(int(fd))
		return err != unix.EAGAIN
	})
	if failed != nil {
		return 0, failed
	}
	return n, err
}

func move(from, to, most int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return max(int(n), 0), err // whose type depends on the machine
		}
	}
}

func named(err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return os.NewSyscallError("splice", errno)
	}
	return err
}
