//go:build linux && !386 && !s390x

package direct

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"countersign.dev/internal/traffic/socket"
)

// Wrap returns a connection over c that reads from the socket and writes to it
// directly, or c itself when it is not TCP. Deadlines and Close act on both
// alike. One goroutine may read while another writes, not more.
func Wrap(c net.Conn) net.Conn {
	tcp, ok := c.(socket.Conn)
	if _, wrapped := c.(*conn); wrapped || !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c // closed already: whoever uses it will be told
	}
	d := &conn{Conn: tcp, raw: raw}
	// Made once, so that a call allocates nothing.
	d.in.call, d.out.call = d.in.read, d.out.write
	return d
}

// A conn is a TCP connection whose bytes take another way than its methods.
type conn struct {
	socket.Conn
	raw     syscall.RawConn
	in, out transfer
	gather  gather
}

// A transfer is one direction, with the call under way.
type transfer struct {
	p    []byte
	n    int // of p are done
	err  error
	now  bool        // what is not there yet is not waited for
	last atomic.Bool // the end of the stream comes behind what is written
	lend Lender      // of p, once there is something to read; nil: p is there
	call func(fd uintptr) (done bool)
}

// NetConn returns the connection beneath.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Read is net.Conn's.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.beforeRead(); err != nil {
		return 0, err
	}
	n, err := c.in.run(c.raw.Read, p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, c.named("read", err)
}

// writeOut writes all of p, or returns an error and how much of it left.
func (c *conn) writeOut(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.out.run(c.raw.Write, p)
	return n, c.named("write", err)
}

// named makes of err what the net package would have returned.
func (c *conn) named(op string, err error) error {
	if err == nil || err == errNotYet {
		return err
	}
	if wrapped, ok := err.(*net.OpError); ok { // of the raw connection: a deadline, or closed
		err = wrapped.Err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// run has wait make the call until it is done, waiting for the socket in between.
func (t *transfer) run(wait func(func(uintptr) bool) error, p []byte) (int, error) {
	t.p, t.n, t.err = p, 0, nil
	err := wait(t.call)
	t.p = nil // it is the caller's again
	if err == nil {
		err = t.err
	}
	return t.n, err
}

// read is done when there was something to read, the end included.
func (t *transfer) read(fd uintptr) bool {
	p := t.p
	if t.lend != nil {
		p = t.lend.Borrow()
	}
	n, errno := socket.Transfer(syscall.SYS_RECVFROM, fd, p, 0)
	if errno == syscall.EAGAIN {
		if t.lend != nil {
			t.lend.Return()
		}
		if t.now {
			t.err = errNotYet
		}
		return t.now
	}
	t.set("read", n, errno)
	return true
}

// write is done when everything was written.
func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.p) && t.err == nil {
		flags := uintptr(syscall.MSG_NOSIGNAL)
		if t.last.Load() {
			flags |= unix.MSG_MORE // and so in one packet with it
		}
		n, errno := socket.Transfer(syscall.SYS_SENDTO, fd, t.p[t.n:], flags)
		if errno == syscall.EAGAIN {
			return false
		}
		t.set("write", n, errno)
	}
	return true
}

func (t *transfer) set(call string, n int, errno syscall.Errno) {
	if errno != 0 {
		t.err = os.NewSyscallError(call, errno)
		return
	}
	t.n += n
}
