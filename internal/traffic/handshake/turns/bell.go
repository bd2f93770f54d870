package turns

import (
	"fmt"
	"os"
	"sync"
)

// A Bell tells gates that turns are free, after a look at the network.
//
// The Go scheduler looks at the network when it has nothing else to run, or has
// not looked for ten milliseconds. A turn handed from one goroutine straight to
// the next always leaves it something to run: established connections would
// wait for those ten milliseconds, again and again. The Bell is a pipe: what is
// written to it is read when the scheduler looks at the network, and so after
// whatever arrived there before.
type Bell struct {
	in, out *os.File
	done    chan struct{}

	mu  sync.Mutex
	due []*Gate // to be called
}

// NewBell returns a Bell. Close ends it, after which its gates give no turns to
// those who wait.
func NewBell() (*Bell, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	b := &Bell{in: in, out: out, done: make(chan struct{})}
	go b.run()
	return b, nil
}

// Close ends the Bell.
func (b *Bell) Close() {
	b.in.Close() // the other side reads the end
	<-b.done
	b.out.Close()
}

// ring has g called.
func (b *Bell) ring(g *Gate) {
	b.mu.Lock()
	first := len(b.due) == 0
	b.due = append(b.due, g)
	b.mu.Unlock()
	if first { // else it is on its way
		b.in.Write([]byte{0}) // one byte at most is in the pipe: it never blocks
	}
}

func (b *Bell) run() {
	defer close(b.done)
	var heard [1]byte
	var due []*Gate
	for {
		if _, err := b.out.Read(heard[:]); err != nil {
			return
		}
		b.mu.Lock()
		due, b.due = b.due, due[:0]
		b.mu.Unlock()
		for i, g := range due {
			g.answer()
			due[i] = nil
		}
	}
}
