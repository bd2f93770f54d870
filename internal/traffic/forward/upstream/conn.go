package upstream

import (
	"fmt"
	"net"
	"syscall"
	"time"

	"countersign.dev/internal/traffic/deadline"
	"countersign.dev/internal/traffic/direct"
)

// A Conn is a connection to a target, held by one exchange from Get or Dial to
// Release. It is a net.Conn with lazy deadlines: arm one with ArmRead or
// ArmWrite before every wait, for a deadline of the exchange before may be left.
type Conn struct {
	deadline.Conn

	// Scratch belongs to whoever holds the connection and stays with it from
	// one exchange to the next: buffers, parser state.
	Scratch any

	tcp    *net.TCPConn
	target *Target
	pool   *pool
	probe
	ending    ending
	idleSince time.Time
	reused    bool
	held      bool // by an exchange; guarded by the pool's mu
}

func newConn(raw net.Conn, t *Target, p *pool) (*Conn, error) {
	tcp, ok := raw.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("a TCP connection was dialed, got a %T", raw)
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: *deadline.New(direct.Wrap(tcp)), tcp: tcp, target: t, pool: p}
	c.probe.init(socket)
	return c, nil
}

// Net returns the TCP connection beneath. Its deadlines belong to the Conn.
func (c *Conn) Net() net.Conn { return c.tcp }

// Target returns the target at the other end.
func (c *Conn) Target() *Target { return c.target }

// Reused reports whether an exchange before this one used the connection.
func (c *Conn) Reused() bool { return c.reused }

// Release ends the exchange. With keep the connection waits for the next one,
// which is right only if this one went through to its last byte on both sides
// and neither asked for the connection to be closed; otherwise it is closed.
// Only the first Release after Get or Dial counts; the connection must not be
// touched after it.
func (c *Conn) Release(keep bool) {
	if t := c.target; c.pool.put(c, keep, t.fleet.now()) {
		t.done(c.pool.own)
	}
}

// Close is Release(false).
func (c *Conn) Close() error {
	c.Release(false)
	return nil
}

// shut closes the socket.
func (c *Conn) shut() {
	c.tcp.Close()
	c.ending.tell()
}

// A probe looks at an idle socket without waiting. What it needs is made with
// the connection, so that a look allocates nothing.
type probe struct {
	socket  syscall.RawConn
	look    func(fd uintptr)
	looked  bool
	nothing [1]byte
}

func (p *probe) init(socket syscall.RawConn) {
	p.socket = socket
	p.look = func(fd uintptr) { p.looked = silent(int(fd), p.nothing[:]) }
}

// quiet reports whether the peer has neither closed nor sent anything. Bytes
// that nobody asked for are no better than a close: they would be taken for the
// answer to the next request.
//
// Control, not Read: the latter fails when a deadline of the exchange before
// has passed.
func (p *probe) quiet() bool {
	p.looked = false
	return p.socket.Control(p.look) == nil && p.looked
}
