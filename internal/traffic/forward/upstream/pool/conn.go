package pool

import (
	"syscall"
	"time"

	"countersign.dev/internal/traffic/deadline"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/traffic/socket"
)

// A Conn is a connection to a target, held by one exchange from Get or Dial to
// Release. It is a net.Conn with lazy deadlines: arm one with ArmRead or
// ArmWrite before every wait, for a deadline of the exchange before may be left.
type Conn struct {
	deadline.Conn

	// Scratch belongs to whoever holds the connection and stays with it from
	// one exchange to the next: buffers, parser state.
	Scratch any

	tcp     socket.Conn
	pool    *Pool
	writeBy time.Time // of TLS: the deadline armed
	probe
	silent    func() bool // probe.quiet
	secured   reach.Secured
	ending    ending
	idleSince time.Time
	reused    bool
	held      bool // by an exchange; guarded by the pool's mu
}

func newConn(m *reach.Made, p *Pool) (*Conn, error) {
	socket, err := m.TCP.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: *deadline.New(m.Conn), tcp: m.TCP, pool: p, secured: m.Secured}
	c.probe.init(socket)
	c.silent = c.probe.quiet
	return c, nil
}

// Net returns the TCP connection beneath, beneath TLS too: it is for closing. Its
// deadlines belong to the Conn.
func (c *Conn) Net() socket.Conn { return c.tcp }

// ArmWrite is deadline.Conn's. Over TLS no write can be resumed after a timeout:
// there the deadline does not come early, but up to d late.
func (c *Conn) ArmWrite(now time.Time, d time.Duration) error {
	if c.secured.TLS == nil {
		return c.Conn.ArmWrite(now, d)
	}
	if d <= 0 {
		c.writeBy = time.Time{}
		return c.secured.TLS.SetWriteDeadline(c.writeBy)
	}
	if left := c.writeBy.Sub(now); left >= d && left <= 2*d {
		return nil
	}
	c.writeBy = now.Add(2 * d)
	return c.secured.TLS.SetWriteDeadline(c.writeBy)
}

// CloseWrite tells the target that nothing more comes.
func (c *Conn) CloseWrite() error {
	if c.secured.TLS != nil {
		return c.secured.TLS.CloseWrite()
	}
	return c.tcp.CloseWrite()
}

// Protocol is what the target has chosen by ALPN; "": nothing.
func (c *Conn) Protocol() string {
	if c.secured.TLS == nil {
		return ""
	}
	return c.secured.TLS.Protocol()
}

// Reused reports whether an exchange before this one used the connection.
func (c *Conn) Reused() bool { return c.reused }

// Release ends the exchange. With keep the connection waits for the next one,
// which is right only if this one went through to its last byte on both sides
// and neither asked for the connection to be closed; otherwise it is closed.
// Only the first Release after Get or Dial counts; the connection must not be
// touched after it.
func (c *Conn) Release(keep bool) {
	if c.pool.put(c, keep, c.pool.way.Now()) {
		c.pool.done()
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

// goodbye tells a target at the other end of an idle connection over TLS that
// it is not cut off (RFC 8446 section 6.1).
func (c *Conn) goodbye() {
	if c.secured.TLS != nil {
		c.secured.TLS.CloseWrite()
	}
}

// quiet reports whether the target has neither closed nor said anything.
func (c *Conn) quiet() bool {
	if c.secured.TLS != nil {
		return c.secured.TLS.Quiet(c.silent)
	}
	return c.probe.quiet()
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
