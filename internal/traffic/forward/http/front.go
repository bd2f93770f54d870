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
	"countersign.dev/internal/traffic/socket"
	"countersign.dev/internal/wire/http1"
)

// A Conn is the client's connection: *tls.Conn and *net.TCPConn both are one.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// A Front is the client's side of one HTTP/1.1 connection. It is used by one
// goroutine at a time; Cut and Interrupt alone may be called from another.
type Front struct {
	*Exchange // nil while the connection rests

	conn   Conn
	client client
	leash  leash

	readBy  deadline.Lazy // of conn
	writeBy deadline.Lazy
}

// NewFront wraps the client's connection. address is the client's that targets
// are told; secure says that conn is TLS.
func NewFront(conn Conn, address netip.AddrPort, secure bool) *Front {
	f := &Front{conn: conn, client: client{address: address, tls: secure, conn: conn}}
	f.sit()
	return f
}

// sit takes an Exchange, if the connection rested.
func (f *Front) sit() {
	if f.Exchange == nil {
		e := takeExchange()
		e.client, e.leash, e.source, e.sink = &f.client, &f.leash, f, f
		f.Exchange = e
	}
}

// Rest gives the Exchange up until the next call of Await or Next. Only a
// connection that awaits a request may rest.
func (f *Front) Rest() {
	e := f.Exchange
	if e == nil || e.r != e.w || len(e.rest) > 0 || e.torn {
		return
	}
	f.Exchange = nil
	e.giveBack()
	restBeneath(f.conn)
}

// restBeneath lets what a client's connection stands on rest too, if it can
// (direct.TLS): nobody is reading.
func restBeneath(conn Conn) {
	if c, ok := conn.(interface{ Rest() }); ok {
		c.Rest()
	}
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
	if f.clock.IsZero() {
		f.tick()
	}
	n, err := f.wait(f.in[f.w:], f.clock, silence, &f.client.closing)
	f.clock = time.Time{} // however long it took
	f.w += n
	switch {
	case err == nil:
		return Arrived
	case errors.Is(err, os.ErrDeadlineExceeded) && !f.client.closing.Load():
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
	f.begin(set)
	f.Request.Reset()
	f.takeRest()
	f.started = f.tick()
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
		if f.client.closing.Load() && !begun {
			return false, nil
		}
		f.room(set.Request.Head)
		n, err := f.fill(begun)
		switch {
		case err == nil:
			if !begun && n > 0 {
				begun, f.started = true, f.tick()
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

// Interrupt makes the connection end as soon as no exchange is under way. It
// may be called from any goroutine.
func (f *Front) Interrupt() {
	f.client.closing.Store(true)
	// Whoever waits for a request sees the deadline and then the flag; whoever
	// is in an exchange arms its own deadline again and goes on.
	f.conn.SetReadDeadline(time.Unix(1, 0))
}

// Closing reports that Interrupt was called.
func (f *Front) Closing() bool { return f.client.closing.Load() }

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
	patience, stop := f.set.Idle, &f.client.closing
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
	return f.wait(p, time.Now(), patience, stop)
}

// wait is readClient, begun at now.
func (f *Front) wait(p []byte, now time.Time, patience time.Duration, stop *atomic.Bool) (int, error) {
	if err := f.readBy.Arm(f.conn.SetReadDeadline, now, patience); err != nil {
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
			over, failed := f.readBy.Expired(f.conn.SetReadDeadline, time.Now())
			if over || failed != nil {
				return 0, err
			}
		}
	}
}

// send writes p to the client, which has between one and two idle timeouts to
// take it: a TLS write cannot be resumed, so its deadline must not come early.
func (f *Front) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := f.writeBy.Arm(f.conn.SetWriteDeadline, f.clock, 2*f.set.Idle); err != nil {
		return err
	}
	n, err := f.conn.Write(p)
	f.sent += int64(n)
	return err
}

// Cut ends the connection at once, and the exchange under way with it. It may
// be called from any goroutine.
func (f *Front) Cut() {
	f.leash.cutShort(wasCut)
	f.conn.Close()
}

// wasCut is why an exchange ends that was under way when Cut was called.
var wasCut = countersign.Deny(countersign.StageForward, countersign.ShuttingDown,
	"the connection was cut in the middle of the exchange")

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
	if f.Exchange != nil && f.torn {
		reset(f.conn)
		return
	}
	farewell(f.conn, unread)
}

func farewell(conn Conn, unread bool) {
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(lingerFor))
	end := conn.CloseWrite
	if secure, ok := conn.(interface{ End() error }); ok { // of TLS, CloseWrite sends the alert alone
		end = secure.End
	}
	if end() != nil || !unread {
		return
	}
	conn.SetReadDeadline(time.Now().Add(lingerFor))
	io.CopyN(io.Discard, onlyReader{conn}, lingerBytes)
}

// reset ends the connection without close_notify and FIN: a body that ends with
// the connection would seem to be complete (RFC 9112 section 8).
func reset(conn Conn) {
	defer conn.Close()
	if tcp := socket.Of(conn); tcp != nil {
		tcp.SetLinger(0)
		tcp.Close()
	}
}

// onlyReader hides WriteTo, which would read past the bound.
type onlyReader struct{ io.Reader }
