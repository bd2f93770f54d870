//go:build linux && !386 && !s390x

package direct

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
)

// gathered is how much a write of TLS records collects: four of the largest
// (RFC 8446 section 5.2) with their overhead.
const gathered = 4*(16<<10) + 1<<10

var gathers = sync.Pool{New: func() any { return new([gathered]byte) }}

// A gather collects writes, so that several leave in one system call. mu is held
// by whoever writes.
type gather struct {
	mu      sync.Mutex
	on      bool
	writing bool            // by who pours at the end
	pending atomic.Bool     // buf is there, and leaves before the next read
	buf     *[gathered]byte // nil: nothing is collected
	n       int
	failed  error // something is missing in the stream: nothing may follow
}

// Write is net.Conn's: all of p, or an error and how much of it left. While
// writes are gathered, p may be on its way still.
func (c *conn) Write(p []byte) (int, error) {
	g := &c.gather
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return 0, g.failed
	}
	if g.n+len(p) > gathered {
		if err := c.pour(); err != nil {
			return 0, err
		}
	}
	if !g.on && g.n == 0 || len(p) > gathered {
		return c.writeOut(p)
	}
	if g.buf == nil {
		g.buf = gathers.Get().(*[gathered]byte)
		g.pending.Store(!g.writing)
	}
	g.n += copy(g.buf[g.n:], p)
	if !g.on {
		return len(p), c.pour()
	}
	return len(p), nil
}

// pour writes what was collected. mu is held.
func (c *conn) pour() error {
	g := &c.gather
	if g.buf == nil {
		return nil
	}
	g.pending.Store(false) // it is on its way: who reads need not wait until it is taken
	_, err := c.writeOut(g.buf[:g.n])
	gathers.Put(g.buf)
	g.buf, g.n, g.failed = nil, 0, err
	return err
}

// beforeRead sends what the peer may have to have before it goes on.
func (c *conn) beforeRead() error {
	if !c.gather.pending.Load() {
		return nil
	}
	c.gather.mu.Lock()
	defer c.gather.mu.Unlock()
	return c.pour()
}

// set turns gathering on or off; off, what was gathered leaves with the next
// write, or before the next read, unless it is to leave at once.
func (c *conn) set(on, atOnce bool) error {
	g := &c.gather
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writing = false
	if g.on = on; atOnce {
		return c.pour()
	}
	return nil
}

// Hold has what is written to c, which Wrap returned, wait for the next read, as
// is right for a handshake: whoever has spoken listens.
func Hold(c net.Conn) {
	if own, ok := c.(*conn); ok {
		own.set(true, false)
	}
}

// Release ends what Hold began. What is held leaves with the next write, or
// before the next read; or now, if that is wanted.
func Release(c net.Conn, now bool) error {
	if own, ok := c.(*conn); ok {
		return own.set(false, now)
	}
	return nil
}

// A TLS is a TLS connection whose large writes cost a system call for several
// records. crypto/tls makes one for each.
type TLS struct {
	*tls.Conn
	under *conn // nil: it is not over one of ours
}

// Gather returns c with large writes gathered, if it is over what Wrap returned.
func Gather(c *tls.Conn) *TLS {
	t := &TLS{Conn: c}
	for beneath := c.NetConn(); t.under == nil; {
		if own, ok := beneath.(*conn); ok {
			t.under = own
			break
		}
		over, ok := beneath.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		beneath = over.NetConn()
	}
	return t
}

// collect turns gathering on for who turns it off at once with everything: a read
// meanwhile has nothing to do with that.
func (c *conn) collect() {
	g := &c.gather
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on, g.writing = true, true
	g.pending.Store(false)
}

// Write is net.Conn's. After an error the connection is of no use.
func (t *TLS) Write(p []byte) (int, error) {
	if len(p) <= 16<<10 || t.under == nil {
		return t.Conn.Write(p)
	}
	t.under.collect()
	n, err := t.Conn.Write(p)
	if left := t.under.set(false, true); err == nil {
		err = left
	}
	return n, err
}

// End says that nothing more is written, in TLS and in TCP: close_notify and FIN
// leave in one packet.
func (t *TLS) End() error {
	if t.under == nil {
		return t.Conn.CloseWrite()
	}
	return t.last(t.under.CloseWrite)
}

// Leave is End, and closes the connection.
func (t *TLS) Leave() error {
	if t.under == nil {
		return t.Conn.Close()
	}
	return t.last(t.under.Close)
}

// last sends close_notify with what fin has TCP send.
func (t *TLS) last(fin func() error) error {
	t.under.out.last.Store(true)
	err := t.Conn.CloseWrite()
	fin()
	return err
}
