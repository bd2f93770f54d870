package http2

import (
	"sync"
	"time"
)

// A bell wakes one goroutine that waits. It remembers one ring, so that none is
// lost between looking and waiting; who wakes looks again.
type bell struct {
	ch    chan struct{}
	timer *time.Timer
}

// ring wakes whoever waits, or the next one who does.
func (b *bell) ring() {
	select {
	case b.ch <- struct{}{}:
	default:
	}
}

// A wait is the patience of one call, however often it waits.
type wait struct {
	patience time.Duration // 0 or less: for ever
	armed    bool
}

// wait waits for a ring, or until the patience is over, and returns false then.
// mu is held, but not meanwhile.
func (b *bell) wait(mu *sync.Mutex, w *wait) bool {
	mu.Unlock()
	defer mu.Lock()
	if w.patience <= 0 {
		<-b.ch
		return true
	}
	if !w.armed {
		w.armed = true
		if b.timer == nil {
			b.timer = time.NewTimer(w.patience)
		} else {
			b.timer.Reset(w.patience)
		}
	}
	select {
	case <-b.ch:
		return true
	case <-b.timer.C:
		return false
	}
}

// done stops the timer of a call that waited.
func (b *bell) done(w *wait) {
	if w.armed {
		b.timer.Stop()
	}
}

// reset forgets a ring that nobody waited for.
func (b *bell) reset() {
	select {
	case <-b.ch:
	default:
	}
}
