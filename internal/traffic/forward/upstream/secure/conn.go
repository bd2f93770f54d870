package secure

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/direct"
)

// A Conn is a TLS connection to a target. One goroutine may read while another
// writes.
type Conn struct {
	*direct.TLS
	// OnRefusal, unless nil, is called when it turns out that the target does not
	// take our certificate, though the handshake seemed to be done.
	OnRefusal func(*countersign.Denial)

	attempt *attempt
	under   *under
	heard   bool // the target has sent something: it has accepted the handshake
}

func newConn(conn net.Conn, cfg *tls.Config) *Conn {
	u := &under{Conn: conn}
	return &Conn{TLS: direct.Gather(tls.Client(u, cfg)), under: u}
}

// Client returns what the connection was made with.
func (c *Conn) Client() *Client { return c.attempt.client }

// Protocol is what the target has chosen by ALPN; "": nothing.
func (c *Conn) Protocol() string { return c.attempt.chosen }

// GoodUntil is the last instant at which the target is surely still whom it was
// taken for: its certificates are in date, and what is known of their revocation
// too. Zero: no time changes anything.
func (c *Conn) GoodUntil() time.Time { return c.attempt.until }

// Read is net.Conn's. A *countersign.Denial as error says that the target has
// refused our certificate before it looked at anything that was written. io.EOF
// is the target's word that there is no more; without it, the error is
// io.ErrUnexpectedEOF.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.TLS.Read(p)
	if n > 0 {
		c.heard = true
		return n, err
	}
	if err == io.EOF && c.under.ended {
		// crypto/tls lets it pass between two records. Anybody on the way could have
		// cut something off (RFC 8446 section 6.1).
		return 0, io.ErrUnexpectedEOF
	}
	if err != nil && !c.heard {
		if d := c.attempt.refused(err); d != nil {
			if c.OnRefusal != nil {
				c.OnRefusal(d)
			}
			return 0, d
		}
	}
	return n, err
}

// Quiet reports whether the connection, which nobody uses, can serve again: the
// target has neither closed it nor sent content that nobody asked for. What TLS
// itself sends now and then (session tickets, changes of keys) is taken in, unless
// a deadline has passed. It does not wait; silent must say whether a read from the
// socket would, nothing being read by it.
func (c *Conn) Quiet(silent func() bool) bool {
	c.under.silent = silent
	var one [1]byte
	n, err := c.TLS.Read(one[:])
	c.under.silent = nil
	return n == 0 && err == errSilent && c.under.in.between()
}

// under is the connection beneath, which knows where records end and can decline
// to wait.
type under struct {
	net.Conn
	in     records
	ended  bool        // the socket has no more
	silent func() bool // nil: reads wait
}

// NetConn returns the connection beneath.
func (u *under) NetConn() net.Conn { return u.Conn }

func (u *under) Read(p []byte) (int, error) {
	if u.silent != nil && u.silent() {
		return 0, errSilent
	}
	n, err := u.Conn.Read(p)
	u.in.pass(p[:n])
	u.ended = u.ended || err == io.EOF
	return n, err
}

// silence is the error of a read that would have to wait. It is temporary, so that
// crypto/tls goes on another time.
type silence struct{}

var errSilent error = silence{}

func (silence) Error() string   { return "nothing to read" }
func (silence) Timeout() bool   { return true }
func (silence) Temporary() bool { return true }
