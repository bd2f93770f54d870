package http

import (
	"crypto/x509"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// Terms are what a request is forwarded under.
type Terms struct {
	// Grant says to which group, and that it may be.
	Grant authorize.Grant
	// Chain leads from the client's certificate to its anchor, for whoever answers in
	// the place of a target.
	Chain []*x509.Certificate
	// Identity holds the rendered fields, "Name: value\r\n" each, that tell the
	// target who the client is.
	Identity []byte
	// Statement is what is signed of that, likewise.
	Statement []byte
	// Restate is asked for it again before the request is offered to a target later
	// than at once, since a statement has an end. nil: there is none.
	Restate func(authorize.Grant) ([]byte, *countersign.Denial)
	// Private is the client's own connections to targets, nil unless the group's
	// targets are told of the client by a PROXY header.
	Private *upstream.Private
	// Asker is for whom a target is picked, as far as the group goes by the client.
	Asker upstream.Asker
	// Port is the listener's, for X-Forwarded-Port.
	Port uint16
	// Last says that the connection shall not carry another request.
	Last bool
	// Still is asked before bytes pass through a connection that has switched
	// protocols, where no further request will be: a Denial ends it. nil: never.
	// One call at a time.
	Still func() *countersign.Denial
	// Anew is how often Still is asked too while no bytes pass. 0: never.
	Anew time.Duration
}

// An Exchange is one request with its answer, between a client and the targets
// that the request is offered to. Front and Streams make them.
//
// The state is here and not on the stack, because what a goroutine might share
// would be allocated anew for each request; and it is apart from the client's
// connection, because most connections are silent most of the time: an Exchange
// goes from one to another.
type Exchange struct {
	// Request is the head of the request. Its slices stay valid until Forward
	// returns, or until the next request is read.
	Request  *http1.Request
	response *http1.Response // of the target

	client *client // the connection that the request came by
	source source
	sink   sink
	leash  *leash
	lines  struct { // to the target, one of them in use
		conn   connLine
		stream streamLine
	}

	in   []byte // what was read; in[r:w] is not consumed yet
	r, w int
	rest []byte // of the next request, read with the end of a body
	out  []byte // what is being assembled for a write

	dateSecond int64 // of dateText
	dateText   []byte

	// Of the exchange under way.
	terms     Terms
	set       *Settings
	body      body
	up        *upload
	answering answerer // the line that brings the answer
	frame     framing  // of the answer
	last      bool     // the connection ends with this answer
	begun     bool     // the head of the answer has gone out
	switching bool     // the target is asked for a WebSocket by extended CONNECT
	challenge []byte   // the Sec-WebSocket-Key that was made for the target; nil: none
	cookie    []byte   // the Set-Cookie that goes with the answer; empty: none
	settled   []byte   // Set-Cookie of the rule that took the request; empty: none
	scratch   []byte   // for text on its way into a field section
	made      []byte   // what was made out of the request: where a redirect leads, what a target is asked for
	result    Result
	tried     [mostTargets]*upstream.Target
	tries     int
	oddity    string // what AWS's access log calls what is wrong with the request, or odd
	started   time.Time
	clock     time.Time // when something last happened: what is done without a wait is done then
	received  int64
	sent      int64
	torn      bool // the client must not take the end of the connection for the end of a body

	heads struct { // of HTTP/1.1; what Request and response point to
		request  http1.Request
		response http1.Response
	}
}

// A client is what exchanges have to know of the connection they come by.
type client struct {
	address netip.AddrPort // as targets are told
	tls     bool
	conn    net.Conn
	closing atomic.Bool // it shall carry no further request
	tunnels tunnels
}

// keepSize bounds the buffers that an Exchange keeps for the next connection.
const keepSize = 4 * firstSize

var exchanges = sync.Pool{New: func() any { return &Exchange{in: make([]byte, firstSize)} }}

func takeExchange() *Exchange {
	e := exchanges.Get().(*Exchange)
	e.Request, e.response = &e.heads.request, &e.heads.response
	return e
}

// giveBack makes e's memory available to other connections. Nothing of one
// client stays for the next.
func (e *Exchange) giveBack() {
	if len(e.in) > keepSize || cap(e.out) > keepSize {
		return // it served something large; the garbage collector may have it
	}
	heads := &e.heads
	heads.request.Reset()
	heads.response.Reset()
	clear(e.in)
	clear(e.out[:cap(e.out)])
	clear(e.scratch[:cap(e.scratch)])
	clear(e.cookie[:cap(e.cookie)])
	next := Exchange{in: e.in, out: e.out[:0], scratch: e.scratch[:0], cookie: e.cookie[:0], dateSecond: e.dateSecond, dateText: e.dateText}
	next.heads.request, next.heads.response = heads.request, heads.response
	*e = next
	exchanges.Put(e)
}

// begin forgets the exchange before.
func (e *Exchange) begin(set *Settings) {
	e.set, e.sent, e.received, e.tries, e.oddity = set, 0, 0, 0, ""
}

// tick reads the clock.
func (e *Exchange) tick() time.Time {
	e.clock = time.Now()
	return e.clock
}

// Ended reads the clock at the end of the exchange.
func (e *Exchange) Ended() time.Time { return e.tick() }

// Started is when the first byte of the request was there.
func (e *Exchange) Started() time.Time { return e.started }

// Received and Sent count the bytes of the exchange under way, heads included.
func (e *Exchange) Received() int64 { return e.received }
func (e *Exchange) Sent() int64     { return e.sent }

// Tried returns the targets that the exchange was offered to, the one that
// counts last. It is valid until the next request is read.
func (e *Exchange) Tried() []*upstream.Target { return e.tried[:e.tries] }

// Oddity names what is wrong with the form of the request, or merely unusual, in
// the words of AWS's access log (http1.Classification); "" is nothing.
func (e *Exchange) Oddity() string { return e.oddity }

// checkRequest refuses what is valid HTTP but is not served by a gateway.
func (e *Exchange) checkRequest() *countersign.Denial {
	q := e.Request
	switch {
	case http1.FoldEqual(q.Method, "trace"), http1.FoldEqual(q.Method, "connect"):
		return countersign.Deny(countersign.StageParse, countersign.MethodNotAllowed,
			"%s is refused: it would show or tunnel what a gateway keeps apart", q.Method)
	case e.set.Body > 0 && q.Body == http1.Length && q.ContentLength > e.set.Body:
		return tooLarge(q.ContentLength, e.set.Body)
	}
	return nil
}

func tooLarge(size, limit int64) *countersign.Denial {
	return countersign.Deny(countersign.StageParse, countersign.BodyTooLarge,
		"the request body has %d bytes or more, limits.body allows %d", size, limit)
}

// A leash is how the exchange under way is broken off from another goroutine.
type leash struct {
	severed *atomic.Pointer[countersign.Denial] // why the connection was cut, which cuts the exchanges one by one; nil: they are not many

	mu   sync.Mutex
	line line                // nil: none is held
	cut  *countersign.Denial // why everything ends
	over chan struct{}       // closed when everything ends; nil: nobody has asked for it
}

// hold makes l what cutting aborts.
func (h *leash) hold(l line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line = l
	if h.cut != nil {
		l.abort()
	}
}

// drop is called before the line is given back, which others may use then.
func (h *leash) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line = nil
}

// condemn says why the exchange is about to be cut.
func (h *leash) condemn(why *countersign.Denial) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut == nil {
		h.cut = why
	}
}

// cutShort aborts the exchange, and those that may follow it.
func (h *leash) cutShort(why *countersign.Denial) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut == nil {
		h.cut = why
	}
	if h.over != nil {
		close(h.over)
		h.over = nil
	}
	if h.line != nil {
		h.line.abort()
	}
}

// gone returns what is closed when everything ends.
func (h *leash) gone() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	over := h.over
	if over == nil {
		over = make(chan struct{})
		if h.cut != nil {
			close(over)
		} else {
			h.over = over
		}
	}
	return over
}

// cutFor returns why the exchange was cut, nil if it was not.
func (h *leash) cutFor() *countersign.Denial {
	if h.severed != nil {
		if why := h.severed.Load(); why != nil {
			return why
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut
}
