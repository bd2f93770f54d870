package parking

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A waiter is what the poller keeps of a spot: the socket, to take it out again.
type waiter struct{ socket syscall.RawConn }

// A poller is one epoll set with one goroutine, which the runtime's own poller
// wakes: an epoll set can be waited for like a socket, so that no thread is held.
type poller struct {
	file  *os.File
	raw   syscall.RawConn
	ready func(id uint64)
	done  chan struct{}
}

func (p *poller) open(ready func(id uint64)) error {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make an epoll set: %w", err)
	}
	// Nonblocking before NewFile looks: that makes it one the runtime waits for.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return fmt.Errorf("make an epoll set: %w", err)
	}
	p.file, p.ready, p.done = os.NewFile(uintptr(fd), "epoll"), ready, make(chan struct{})
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return fmt.Errorf("make an epoll set: %w", err)
	}
	go p.run()
	return nil
}

// run tells of ready sockets until the set is closed.
func (p *poller) run() {
	defer close(p.done)
	events := make([]syscall.EpollEvent, 256)
	for {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(fd), events, 0)
			return n > 0 || err != nil && !errors.Is(err, syscall.EINTR)
		})
		if err != nil {
			return // closed
		}
		for _, e := range events[:max(n, 0)] {
			p.ready(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
		}
	}
}

func (p *poller) close() error {
	err := p.file.Close()
	<-p.done
	return err
}

// await has ready called once with the spot's id when the socket has something.
func (p *poller) await(socket syscall.RawConn, s *Spot) error {
	s.await.socket = socket
	const once = 1 << 30 // EPOLLONESHOT
	e := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | once,
		Fd:     int32(uint32(s.id)), Pad: int32(uint32(s.id >> 32)), // the kernel gives all 64 bits back
	}
	return p.control(socket, syscall.EPOLL_CTL_ADD, &e)
}

// forget takes the socket out of the set. One that is closed has left by itself.
func (p *poller) forget(s *Spot) {
	p.control(s.await.socket, syscall.EPOLL_CTL_DEL, nil)
}

func (p *poller) control(socket syscall.RawConn, op int, e *syscall.EpollEvent) error {
	var failed error
	err := p.raw.Control(func(set uintptr) {
		failed = socket.Control(func(fd uintptr) {
			failed = syscall.EpollCtl(int(set), op, int(fd), e)
		})
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("wait for a socket: %w", err)
	}
	return nil
}
