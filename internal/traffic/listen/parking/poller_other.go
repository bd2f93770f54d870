//go:build !linux

package parking

import (
	"sync"
	"syscall"
	"time"
)

// A waiter is what ends the wait of a spot's goroutine.
type waiter struct{ stop func() }

// A poller lets a goroutine wait for each socket: no epoll here.
type poller struct {
	ready   func(id uint64)
	waiting sync.WaitGroup
}

func (p *poller) open(ready func(id uint64)) error { p.ready = ready; return nil }

func (p *poller) close() error { p.waiting.Wait(); return nil }

// await has ready called once when the socket has something. The wait is a look
// at the socket that takes nothing out of it, repeated when it becomes readable.
func (p *poller) await(socket syscall.RawConn, s *Spot) error {
	left := make(chan struct{})
	s.await.stop = sync.OnceFunc(func() { close(left) })
	p.waiting.Go(func() {
		var peek [1]byte
		for {
			something := false
			socket.Control(func(fd uintptr) {
				_, _, err := syscall.Recvfrom(int(fd), peek[:], syscall.MSG_PEEK|msgDontwait)
				something = err != syscall.EAGAIN && err != syscall.EWOULDBLOCK
			})
			if something {
				p.ready(s.id)
				return
			}
			select {
			case <-left:
				return
			case <-time.After(pollEvery):
			}
		}
	})
	return nil
}

func (p *poller) forget(s *Spot) { s.await.stop() }

const (
	pollEvery   = 100 * time.Millisecond
	msgDontwait = 0x80 // MSG_DONTWAIT on the BSDs and macOS
)
