package http

import (
	"sync"

	"countersign.dev"
	"countersign.dev/internal/traffic/socket"
)

// What becomes of a connection whose client is no longer accepted.

// Expel ends the connection as soon as no exchange is under way; what has
// switched protocols ends now. It may be called from any goroutine.
func (f *Front) Expel(why *countersign.Denial) {
	f.Interrupt()
	f.client.tunnels.end(why)
}

// Expel ends the connection as soon as no exchange is under way; what has
// switched protocols ends now. It may be called from any goroutine.
func (f *Streams) Expel(why *countersign.Denial) {
	f.Interrupt()
	f.client.tunnels.end(why)
}

// Reset ends the connection and the exchange under way at once, with a reset:
// nothing is waited for, and half an answer cannot be taken for a whole one. It
// may be called from any goroutine.
func (f *Front) Reset(why *countersign.Denial) {
	f.leash.condemn(why)
	reset(f.conn) // before anybody can answer
	f.leash.cutShort(why)
}

// Reset ends the connection and the exchanges under way at once, with a reset.
// It may be called from any goroutine.
func (f *Streams) Reset(why *countersign.Denial) {
	f.cut.CompareAndSwap(nil, why)
	if tcp := socket.Of(f.conn); tcp != nil {
		tcp.SetLinger(0)
		tcp.Close() // before TLS would say goodbye, and wait for room to say it
	}
	f.h2.Abort()
}

// tunnels are what one connection has in exchanges that switched protocols.
type tunnels struct {
	mu    sync.Mutex
	all   map[*tunnel]struct{}
	ended *countersign.Denial // why they all have been
}

func (ts *tunnels) enter(t *tunnel) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.ended != nil {
		t.end(ts.ended)
		return
	}
	if ts.all == nil {
		ts.all = map[*tunnel]struct{}{}
	}
	ts.all[t] = struct{}{}
}

func (ts *tunnels) leave(t *tunnel) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.all, t)
}

func (ts *tunnels) end(why *countersign.Denial) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.ended = why
	for t := range ts.all {
		t.end(why)
	}
}
