package http

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/http2"
)

// Streams is the client's side of one HTTP/2 connection. Await is called by one
// goroutine at a time; each exchange has one of its own.
type Streams struct {
	client client
	conn   Conn
	h2     *http2.Conn
	open   func(*Exchange, *countersign.Denial)
	set    *Settings
	cut    atomic.Pointer[countersign.Denial] // why it was
}

// concurrent is how many requests a client may have under way, as nginx has it.
const concurrent = 128

// NewStreams wraps the client's connection, which is TLS. address is the
// client's that targets are told. open is called for every request that Await
// reads, with a Denial if it is to be refused; it must not block. The exchange
// ends with Close.
func NewStreams(conn Conn, address netip.AddrPort, set *Settings, open func(*Exchange, *countersign.Denial)) *Streams {
	return &Streams{
		client: client{address: address, tls: true, conn: conn},
		conn:   conn, open: open, set: set,
		h2: http2.New(conn, http2.Config{
			Limits: set.Request, Streams: concurrent, Connect: true,
			WriteTimeout: 2 * set.Idle, HeadTimeout: set.Headers,
		}),
	}
}

// Await reads requests and has them opened under set until the connection ends,
// or no request is under way and nothing has come for silence. It never returns
// Arrived.
func (f *Streams) Await(set *Settings, silence time.Duration) Arrival {
	f.set = set
	if errors.Is(f.h2.Serve(silence, f.take), http2.ErrSilent) {
		return Silent
	}
	return Ended
}

// take makes an exchange of a stream.
func (f *Streams) take(s *http2.Stream) {
	e, side := takeExchange(), &stream{f: f, h2: s}
	side.leash.severed = &f.cut
	e.Request = &s.Request
	e.client, e.leash, e.source, e.sink = &f.client, &side.leash, side, side
	e.begin(f.set)
	e.started, e.begun, e.torn = e.tick(), false, false
	s.OnGone(side.gone)
	f.open(e, side.check(e))
}

// Rest gives up what the connection needs only while it has something to say.
func (f *Streams) Rest() {
	f.h2.Rest()
	restBeneath(f.conn)
}

// Interrupt makes the connection end as soon as no exchange is under way, nor a
// WebSocket. It may be called from any goroutine.
func (f *Streams) Interrupt() {
	f.client.closing.Store(true)
	f.h2.GoAway()
}

// Closing reports that Interrupt was called.
func (f *Streams) Closing() bool { return f.client.closing.Load() }

// Cut ends the connection at once, and the exchanges under way with it. It may
// be called from any goroutine.
func (f *Streams) Cut() {
	f.cut.CompareAndSwap(nil, wasCut)
	f.h2.Abort()
}

// Finish says goodbye once all exchanges are closed.
func (f *Streams) Finish(bool) { farewell(f.conn, f.cut.Load() == nil) }
