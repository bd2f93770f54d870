package http

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/deadline"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// A Conn is the client's connection: *tls.Conn and *net.TCPConn both are one.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// A Front is the client's side of one connection. It is used by one goroutine
// at a time; Cut and Interrupt alone may be called from another.
type Front struct {
	*desk // nil while the connection rests

	conn   Conn
	client netip.AddrPort
	tls    bool

	read    deadline.Lazy // of conn
	write   deadline.Lazy
	closing atomic.Bool
	cut     atomic.Bool
	target  atomic.Pointer[upstream.Conn] // of the exchange under way
}

// NewFront wraps the client's connection. client is the address that targets
// are told; secure says that conn is TLS.
func NewFront(conn Conn, client netip.AddrPort, secure bool) *Front {
	return &Front{conn: conn, client: client, tls: secure, desk: takeDesk()}
}

// errStopped says that a read was given up because the connection is closing.
var errStopped = errors.New("the connection is closing")

// An Arrival says what came of waiting for a request.
type Arrival uint8

const (
	Ended   Arrival = iota // the client closed, was idle for too long, or Interrupt was called
	Silent                 // nothing came so far
	Arrived                // a request has begun: Next reads it
)

// Await waits for the first byte of the next request, for silence at most. After
// Silent the caller may wait again, or let the connection Rest meanwhile; that
// it has been idle for too long, set.Idle in all, is then the caller's to notice.
func (f *Front) Await(set *Settings, silence time.Duration) Arrival {
	f.sit()
	f.set = set
	f.takeRest()
	if f.w > f.r {
		return Arrived
	}
	f.room(set.Request.Head)
	n, err := f.readClient(f.in[f.w:], silence, &f.closing)
	f.w += n
	switch {
	case err == nil:
		return Arrived
	case errors.Is(err, os.ErrDeadlineExceeded) && !f.closing.Load():
		return Silent
	}
	return Ended
}

// Next waits for the next request and reads its head into f.Request. It
// returns false, and no Denial, when the connection simply ends: the client
// closed it between two requests, was idle for longer than set.Idle, or
// Interrupt was called. A Denial is to be answered with Refuse.
func (f *Front) Next(set *Settings) (bool, *countersign.Denial) {
	f.sit()
	f.set, f.sent, f.tries, f.oddity = set, 0, 0, ""
	f.Request.Reset()
	f.takeRest()
	f.started = time.Now()
	begun := f.w > f.r
	for {
		if begun {
			n, err := f.Request.Parse(f.in[f.r:f.w], set.Request)
			if err == nil {
				f.r += n
				f.received = int64(n)
				f.oddity = f.Request.Desync()
				return true, f.checkRequest()
			}
			if !errors.Is(err, http1.ErrIncomplete) {
				f.received = int64(f.w - f.r)
				f.oddity = kindOf(err)
				return false, malformed(err)
			}
		}
		if f.closing.Load() && !begun {
			return false, nil
		}
		f.room(set.Request.Head)
		n, err := f.fill(begun)
		switch {
		case err == nil:
			if !begun && n > 0 {
				begun, f.started = true, time.Now()
			}
		case !begun:
			return false, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			f.received = int64(f.w - f.r)
			return false, countersign.Deny(countersign.StageParse, countersign.RequestTimeout,
				"%d bytes of a request head arrived and no more within %s (timeouts.headers)", f.w-f.r, set.Headers)
		default:
			f.received = int64(f.w - f.r)
			return false, countersign.Deny(countersign.StageParse, countersign.ClientClosed,
				"the client closed in the middle of a request head (%v)", err)
		}
	}
}

// Started is when the first byte of the request was there.
func (f *Front) Started() time.Time { return f.started }

// Received and Sent count the bytes of the exchange under way, heads included.
func (f *Front) Received() int64 { return f.received }
func (f *Front) Sent() int64     { return f.sent }

// Tried returns the targets that the exchange was offered to, the one that
// counts last. It is valid until Next.
func (f *Front) Tried() []*upstream.Target { return f.tried[:f.tries] }

// Oddity names what is wrong with the form of the request, or merely unusual, in
// the words of AWS's access log (http1.Classification); "" is nothing.
func (f *Front) Oddity() string { return f.oddity }

// Interrupt makes the connection end as soon as no exchange is under way. It
// may be called from any goroutine.
func (f *Front) Interrupt() {
	f.closing.Store(true)
	// Whoever waits for a request sees the deadline and then the flag; whoever
	// is in an exchange arms its own deadline again and goes on.
	f.conn.SetReadDeadline(time.Unix(1, 0))
}

// Closing reports that Interrupt was called.
func (f *Front) Closing() bool { return f.closing.Load() }

// room makes space for a read: what is consumed is given up, and the buffer
// doubles up to the largest head the settings allow.
func (f *Front) room(largest int) {
	if f.r == f.w {
		f.r, f.w = 0, 0
	}
	if f.w < len(f.in) {
		return
	}
	if f.r > 0 {
		f.w = copy(f.in, f.in[f.r:f.w])
		f.r = 0
		return
	}
	// One byte more than the limit, so that a head that is too large is told
	// from one that just fits.
	grown := make([]byte, min(2*len(f.in), max(largest+1, len(f.in)+firstSize)))
	copy(grown, f.in[:f.w])
	f.in = grown
}

// fill reads once into f.in. While no request has begun, it waits for as long
// as a connection may be idle, and Interrupt ends it; then the time is what is
// left for the head, lest a client that sends an octet now and then holds the
// connection for ever.
func (f *Front) fill(begun bool) (int, error) {
	patience, stop := f.set.Idle, &f.closing
	if begun {
		patience, stop = f.set.Headers-time.Since(f.started), nil
		if patience <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
	}
	n, err := f.readClient(f.in[f.w:], patience, stop)
	f.w += n
	return n, err
}

// takeRest puts what was read behind the last body where the next head is
// looked for. f.in was empty while that body was read.
func (f *Front) takeRest() {
	if len(f.rest) == 0 {
		return
	}
	f.in = append(f.in[:0], f.rest...)
	f.in = f.in[:cap(f.in)]
	f.r, f.w, f.rest = 0, len(f.rest), nil
}

// readClient reads at least one byte from the client within patience, or until
// stop is set and the read deadline is moved into the past.
func (f *Front) readClient(p []byte, patience time.Duration, stop *atomic.Bool) (int, error) {
	if err := f.read.Arm(f.conn.SetReadDeadline, time.Now(), patience); err != nil {
		return 0, err
	}
	for {
		if stop != nil && stop.Load() {
			return 0, errStopped
		}
		n, err := f.conn.Read(p)
		switch {
		case n > 0:
			return n, nil
		case err == nil: // a TLS record without data
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		default:
			over, failed := f.read.Expired(f.conn.SetReadDeadline, time.Now())
			if over || failed != nil {
				return 0, err
			}
		}
	}
}

// send writes p to the client, which has between one and two idle timeouts to
// take it: a TLS write cannot be resumed, so its deadline must not come early.
func (f *Front) send(p []byte) error {
	if err := f.write.Arm(f.conn.SetWriteDeadline, time.Now(), 2*f.set.Idle); err != nil {
		return err
	}
	n, err := f.conn.Write(p)
	f.sent += int64(n)
	return err
}

// checkRequest refuses what is valid HTTP but is not served by a gateway.
func (f *Front) checkRequest() *countersign.Denial {
	q := &f.Request
	switch {
	case http1.FoldEqual(q.Method, "trace"), http1.FoldEqual(q.Method, "connect"):
		return countersign.Deny(countersign.StageParse, countersign.MethodNotAllowed,
			"%s is refused: it would show or tunnel what a gateway keeps apart", q.Method)
	case f.set.Body > 0 && q.Body == http1.Length && q.ContentLength > f.set.Body:
		return tooLarge(q.ContentLength, f.set.Body)
	}
	return nil
}

func tooLarge(size, limit int64) *countersign.Denial {
	return countersign.Deny(countersign.StageParse, countersign.BodyTooLarge,
		"the request body has %d bytes or more, limits.body allows %d", size, limit)
}

// kindOf is the codec's name for what is wrong.
func kindOf(err error) string {
	if e, ok := errors.AsType[*http1.Error](err); ok {
		return e.Kind
	}
	return ""
}

// malformed turns the codec's error into a Denial.
func malformed(err error) *countersign.Denial {
	var e *http1.Error
	if errors.As(err, &e) {
		return refusal(e.Status, e.Kind+": "+e.Reason)
	}
	return refusal(400, err.Error())
}

// Cut ends the connection at once, and the exchange under way with it. It may
// be called from any goroutine.
func (f *Front) Cut() {
	f.cut.Store(true)
	f.conn.Close()
	if t := f.target.Load(); t != nil {
		abort(t)
	}
}

// lingerFor and lingerBytes bound how long a client that still sends is
// listened to after our last word, so that a TCP reset does not destroy the
// answer before it is read (RFC 9112 section 9.6).
const (
	lingerFor   = 2 * time.Second
	lingerBytes = 256 << 10
)

// Finish says goodbye: close_notify, FIN, then what the client still sends is
// read away within bounds if it was not heard out.
func (f *Front) Finish(unread bool) {
	defer f.conn.Close()
	if f.desk != nil && f.torn {
		f.reset()
		return
	}
	f.conn.SetWriteDeadline(time.Now().Add(lingerFor))
	if f.conn.CloseWrite() != nil || !unread {
		return
	}
	if tcp := f.tcp(); tcp != nil {
		tcp.CloseWrite() // of TLS, CloseWrite sends the alert alone
	}
	f.conn.SetReadDeadline(time.Now().Add(lingerFor))
	io.CopyN(io.Discard, onlyReader{f.conn}, lingerBytes)
}

// reset ends the connection without close_notify and FIN: a body that ends with
// the connection would seem to be complete (RFC 9112 section 8).
func (f *Front) reset() {
	if tcp := f.tcp(); tcp != nil {
		tcp.SetLinger(0)
		tcp.Close()
	}
}

// tcp returns the connection beneath TLS, if any; nil if it is not TCP.
func (f *Front) tcp() *net.TCPConn {
	var conn net.Conn = f.conn
	for {
		over, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = over.NetConn()
	}
	tcp, _ := conn.(*net.TCPConn)
	return tcp
}

// onlyReader hides WriteTo, which would read past the bound.
type onlyReader struct{ io.Reader }
