package parking

import (
	"container/heap"
	"errors"
	"sync"
	"syscall"
	"time"
)

// A Reason says why a parked connection was woken.
type Reason uint8

const (
	Readable Reason = iota // a byte, or the end, is there to be read
	Expired                // the deadline passed in silence
	Called                 // by Call or Close
)

// ErrClosed is returned by Park once the lot is closed.
var ErrClosed = errors.New("the parking lot is closed")

// A Spot is one stay of one connection in a Lot.
type Spot struct {
	id    uint64
	until time.Time
	index int // in the heap; -1: has left
	wake  func(Reason)
	await waiter
}

// A Lot holds parked connections. Make one with New.
type Lot struct {
	poller poller // what the operating system does

	mu     sync.Mutex
	closed bool
	next   uint64
	spots  map[uint64]*Spot
	order  byDeadline
	timer  *time.Timer
	waking sync.WaitGroup // wake functions that have been called
}

// New returns an empty Lot. Close releases it.
func New() (*Lot, error) {
	l := &Lot{spots: map[uint64]*Spot{}}
	l.timer = time.AfterFunc(time.Hour, l.expire)
	l.timer.Stop()
	if err := l.poller.open(l.readable); err != nil {
		return nil, err
	}
	return l, nil
}

// Len is how many connections are parked.
func (l *Lot) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.spots)
}

// Park waits for conn until then. wake is called once, on a goroutine of its
// own, when there is something to read (perhaps at once), when the time is
// over, or when Call or Close asks for it; the connection has left the lot by
// then. After an error it never entered, and wake is not called.
func (l *Lot) Park(conn syscall.Conn, until time.Time, wake func(Reason)) (*Spot, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	l.next++
	s := &Spot{id: l.next, until: until, wake: wake}
	l.spots[s.id] = s
	heap.Push(&l.order, s)
	// Under the lock: an event that comes at once finds the spot complete.
	if err := l.poller.await(raw, s); err != nil {
		l.remove(s)
		return nil, err
	}
	if s.index == 0 {
		l.timer.Reset(time.Until(until))
	}
	return s, nil
}

// Call wakes a parked connection; it does nothing when that has left.
func (l *Lot) Call(s *Spot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(s, Called)
}

// Close wakes every connection, takes none any more and waits until each wake
// function has returned.
func (l *Lot) Close() error {
	l.mu.Lock()
	l.closed = true
	for _, s := range l.spots {
		l.leave(s, Called)
	}
	l.timer.Stop()
	l.mu.Unlock()
	err := l.poller.close()
	l.waking.Wait()
	return err
}

// readable is told by the poller that a spot's connection can be read.
func (l *Lot) readable(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.spots[id]; s != nil {
		l.leave(s, Readable)
	}
}

// expire wakes those whose time is over.
func (l *Lot) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(l.order) > 0 && !l.order[0].until.After(now) {
		l.leave(l.order[0], Expired)
	}
	if len(l.order) > 0 && !l.closed {
		l.timer.Reset(l.order[0].until.Sub(now))
	}
}

// leave takes s out and wakes its connection, if it has not left yet.
func (l *Lot) leave(s *Spot, why Reason) {
	if s.index < 0 {
		return
	}
	l.remove(s)
	l.poller.forget(s)
	l.waking.Go(func() { s.wake(why) })
}

func (l *Lot) remove(s *Spot) {
	heap.Remove(&l.order, s.index)
	delete(l.spots, s.id)
}

// byDeadline is a heap, the soonest deadline first.
type byDeadline []*Spot

func (h byDeadline) Len() int           { return len(h) }
func (h byDeadline) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h byDeadline) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *byDeadline) Push(x any) {
	s := x.(*Spot)
	s.index = len(*h)
	*h = append(*h, s)
}
func (h *byDeadline) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	s.index = -1
	return s
}
