package turns

import "sync"

// A Bell tells gates that turns are free, after a look at the network.
//
// The Go scheduler looks at the network when it has nothing else to run, or has
// not looked for ten milliseconds. A turn handed from one goroutine straight to
// the next always leaves it something to run: established connections would
// wait for those ten milliseconds, again and again. The Bell is a file that the
// scheduler watches as it does sockets: that it was rung is noticed when the
// scheduler looks at the network, and so after whatever arrived there before.
type Bell struct {
	cord cord
	done chan struct{}

	mu  sync.Mutex
	due []*Gate // to be called
}

// NewBell returns a Bell. Close ends it, after which its gates give no turns to
// those who wait.
func NewBell() (*Bell, error) {
	c, err := newCord()
	if err != nil {
		return nil, err
	}
	b := &Bell{cord: c, done: make(chan struct{})}
	go b.run()
	return b, nil
}

// Close ends the Bell.
func (b *Bell) Close() {
	b.cord.cut()
	<-b.done
}

// ring has g called.
func (b *Bell) ring(g *Gate) {
	b.mu.Lock()
	first := len(b.due) == 0
	b.due = append(b.due, g)
	b.mu.Unlock()
	if first { // else it is on its way
		b.cord.pull()
	}
}

func (b *Bell) run() {
	defer close(b.done)
	var due []*Gate
	rung := b.rung // made once
	for b.cord.pulled(rung) {
		b.mu.Lock()
		due, b.due = b.due, due[:0]
		b.mu.Unlock()
		for i, g := range due {
			g.answer()
			due[i] = nil
		}
	}
}

// rung reports whether a gate is to be called.
func (b *Bell) rung(uintptr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.due) > 0
}
