package handshake

import (
	"cmp"
	"context"
	"net"
	"runtime"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/handshake/turns"
)

// Limits bound the handshakes of one listener that compute, and that wait for
// their turn. 0: half as many as there are CPUs, once more than four for
// each are under way, and 10,000.
type Limits = turns.Limits

// bounds puts in what l leaves open. Half as many as there are CPUs leave the rest to
// established connections; handshakes lose little by it, since what the kernel does
// to accept, send, receive and close needs no turn, and takes about as long as
// what does. On two CPUs, 256 clients that connected as fast as they could made the
// slowest hundredth of other requests take 11 ms so, with two turns 60, with four
// 160; but 8 clients 6 ms with any number of turns.
func bounds(l Limits) Limits {
	if l.AtOnce == 0 {
		l.AtOnce, l.Few = max(runtime.GOMAXPROCS(0)/2, 1), 4*runtime.GOMAXPROCS(0)
	}
	l.Waiting = cmp.Or(l.Waiting, mostWaiting)
	return l
}

// mostWaiting is Limits.Waiting where that is left open.
const mostWaiting = 10_000

// inFlight is how many bytes the server may have written in a handshake and
// still be sure that the kernel takes them without waiting for the client.
const inFlight = 8 << 10

// A line is the client's connection. During the handshake it has a turn while
// crypto/tls computes, and none while it waits for the client.
type line struct {
	net.Conn
	turn *turn // nil: nothing is bounded, or not any more
}

// A turn is what a handshake takes at its listener's gate.
type turn struct {
	turns.Place
	gate    *turns.Gate
	limits  Limits
	written int  // bytes to the client
	small   bool // what is left to compute takes no turn
}

// bound has the handshake that is to be made take turns at gate.
func (c *line) bound(gate *turns.Gate, l Limits, until time.Time, ended <-chan struct{}) {
	if gate == nil {
		return
	}
	c.turn = &turn{gate: gate, limits: l}
	c.turn.Enter(gate, l, until, ended)
}

// resumes says that the handshake is one whose client need not prove anything any
// more: behind its next message there is a hash to compare, a hundredth of what
// was computed before it, and not worth another wait.
func (c *line) resumes() {
	if c.turn != nil {
		c.turn.small = true
	}
}

// unbound gives back what the handshake had of its gate.
func (c *line) unbound() {
	if c.turn != nil {
		c.turn.Leave()
		c.turn = nil
	}
}

// NetConn returns the connection beneath.
func (c *line) NetConn() net.Conn { return c.Conn }

// Read is net.Conn's.
func (c *line) Read(p []byte) (int, error) {
	if c.turn == nil {
		return c.Conn.Read(p)
	}
	return c.turn.without(c.Conn.Read, p)
}

// Write is net.Conn's.
func (c *line) Write(p []byte) (int, error) {
	if c.turn == nil {
		return c.Conn.Write(p)
	}
	if c.turn.written += len(p); c.turn.written <= inFlight {
		return c.Conn.Write(p)
	}
	return c.turn.without(c.Conn.Write, p)
}

// without makes a call that may wait for the client.
func (t *turn) without(call func([]byte) (int, error), p []byte) (int, error) {
	t.Give()
	n, err := call(p)
	if err == nil && !t.small {
		err = t.again()
	}
	return n, err
}

func (t *turn) again() error {
	switch t.Take() {
	case nil:
		return nil
	case turns.ErrFull:
		return countersign.Deny(countersign.StageHandshake, countersign.HandshakeLimit,
			"%d handshakes wait for their turn, as many as limits.waiting_handshakes allows", t.limits.Waiting)
	case turns.ErrLate:
		return countersign.Deny(countersign.StageHandshake, countersign.HandshakeLimit,
			"the handshake did not get its turn within timeouts.handshake: limits.handshakes lets %d compute at a time, and %d more wait",
			t.limits.AtOnce, t.gate.Waiting())
	default:
		return context.Canceled
	}
}
