package deadline

import (
	"errors"
	"net"
	"os"
	"time"
)

// A Conn is a net.Conn whose deadlines are armed lazily with ArmRead and
// ArmWrite. Read and Write time out when the wait last armed is over, to the
// precision of the runtime's timers, never before.
//
// One goroutine may read while another writes, each arming its own direction.
// The net.Conn's own SetDeadline methods work too, under the same rule: they
// are not a way to interrupt another goroutine's Read, for which there is
// Close.
type Conn struct {
	net.Conn
	read, write Lazy
}

// New wraps c, which must not have deadlines.
func New(c net.Conn) *Conn { return &Conn{Conn: c} }

// NetConn returns the connection beneath. Its deadlines belong to the Conn.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// ArmRead bounds the wait of the following Reads together to d from now;
// d <= 0 lifts the bound.
func (c *Conn) ArmRead(now time.Time, d time.Duration) error {
	return c.read.Arm(c.Conn.SetReadDeadline, now, d)
}

// ArmWrite bounds the wait of the following Writes together to d from now;
// d <= 0 lifts the bound.
func (c *Conn) ArmWrite(now time.Time, d time.Duration) error {
	return c.write.Arm(c.Conn.SetWriteDeadline, now, d)
}

// Read is net.Conn's. A timeout is an error that is os.ErrDeadlineExceeded.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err == nil || n > 0 || !goesOn(&c.read, c.Conn.SetReadDeadline, err) {
			return n, err
		}
	}
}

// Write is net.Conn's: all of p, or an error and how much of it left.
func (c *Conn) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil || !goesOn(&c.write, c.Conn.SetWriteDeadline, err) {
			return written, err
		}
	}
}

// goesOn reports whether err is a timeout that came early, after which the
// exact deadline is armed.
func goesOn(l *Lazy, set func(time.Time) error, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	over, err := l.Expired(set, time.Now())
	return !over && err == nil
}

// SetDeadline arms exactly t in both directions.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline arms exactly t for reading.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.read.Set(c.Conn.SetReadDeadline, t) }

// SetWriteDeadline arms exactly t for writing.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.write.Set(c.Conn.SetWriteDeadline, t) }
