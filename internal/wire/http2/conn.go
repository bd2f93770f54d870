package http2

import (
	"cmp"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/wire/http1"
	"countersign.dev/internal/wire/http2/fieldsection"
)

// A Config says which side of the connection we are, and what the peer may do.
type Config struct {
	Client       bool          // we opened the connection: we send requests
	Limits       http1.Limits  // of a field section that arrives: Line the path, Field one field, Head all (RFC 9113 section 6.5.2 sizes), Count
	Streams      uint32        // how many streams the peer may have open at once; 0: 128; server
	Window       uint32        // octets of one stream that may arrive unread, at least 65535; 0: 256 KiB
	ConnWindow   uint32        // of all streams together, at least 65535; 0: 1 MiB
	Connect      bool          // server: take extended CONNECT (RFC 8441)
	WriteTimeout time.Duration // for the peer to take a write, which may last twice as long; 0: 1 minute
	HeadTimeout  time.Duration // from the first octet of a frame or field section to its last; 0: 30 s
}

func (c *Config) setDefaults() {
	c.Limits.Line = cmp.Or(c.Limits.Line, 16<<10)
	c.Limits.Field = cmp.Or(c.Limits.Field, 16<<10)
	c.Limits.Head = cmp.Or(c.Limits.Head, 64<<10)
	c.Limits.Count = cmp.Or(c.Limits.Count, 256)
	c.Streams = cmp.Or(c.Streams, 128)
	// Below what holds before SETTINGS are acknowledged (RFC 9113 section 6.9.2)
	// a peer could not be told from one that breaks the rules.
	c.Window = min(max(cmp.Or(c.Window, 256<<10), firstWindow), maxWindow)
	c.ConnWindow = min(max(cmp.Or(c.ConnWindow, 1<<20), firstWindow), maxWindow)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, time.Minute)
	c.HeadTimeout = cmp.Or(c.HeadTimeout, 30*time.Second)
}

// A Conn is one connection. Serve reads it, on one goroutine at a time; all else
// may be called from any.
type Conn struct {
	rw  net.Conn
	cfg Config

	// Of the goroutine in Serve.
	in       *input    // nil while the connection rests
	r, w     int       // what is read and not handled yet
	begun    time.Time // when the frame or field section began that is half read; zero: none is
	now      time.Time // of the last read
	prefaced bool      // the peer's preface is in
	settled  bool      // and its first SETTINGS
	open     func(*Stream)
	silence  time.Duration
	block    block
	decoder  *hpack.Decoder
	section  *fieldsection.Section // which the decoder fills
	idle     budget                // for frames that bring nothing
	resets   budget                // for requests that are taken back
	gone     []*Stream

	mu        sync.Mutex
	streams   []*Stream // open, by ascending id
	reserved  int       // given out by NewStream, without an id yet
	lastPeer  uint32    // the highest id the peer has used
	opened    uint32    // how many ids it has used
	nextID    uint32    // of our next stream
	lost      resetRing // streams that were reset by us
	broken    error     // why the connection has ended
	leaving   leaving
	acked     bool // the PING that went with GOAWAY came back
	leaveBy   time.Time
	peerLeft  *ConnError // the peer's GOAWAY
	armed     time.Time  // the read deadline
	napping   bool       // streams are open, and there is no read deadline
	stirred   bool       // the last stream was closed since the deadline was armed
	completed int        // exchanges, not yet credited to the budgets
	flowed    int64      // octets of DATA, not yet credited to them
	framed    int        // frames of DATA that no window cut short, not yet credited to them

	out       *output // what is queued; nil: nothing
	owed      int     // frames in it that the reader queued
	flushing  bool
	flushers  sync.WaitGroup
	writeBy   time.Time // the write deadline
	queued    int64     // octets ever queued
	attempted int64     // of these, octets handed to the socket
	crowded   []*Stream // waiting for room in out
	starved   []*Stream // waiting for the connection's window, the first for longest
	tableSaid bool      // our HPACK table was said to be empty
	writeErr  error     // of the socket
	hearBy    time.Time // when the reader gives up after writeErr; zero: it goes on
	ended     bool      // Serve says, or has said, its last words

	sendLeft   int64 // what we may send on all streams
	recvLeft   int64 // what the peer may
	credit     int64 // what was read and not yet granted again
	peer       peerSettings
	settledSig chan struct{} // made by Settled
}

// leaving is how far a graceful end has come (RFC 9113 section 6.8).
type leaving uint8

const (
	staying   leaving = iota
	asked             // GoAway was called while a stream was open
	askedIdle         // GoAway was called while none was
	warned            // GOAWAY with the highest id was sent: streams that are under way are still taken
	departed          // GOAWAY with the real one was sent
)

// New returns the connection over rw. Nothing is sent before Serve or WriteHead.
func New(rw net.Conn, config Config) *Conn {
	config.setDefaults()
	c := &Conn{
		rw: rw, cfg: config, nextID: 1,
		sendLeft: firstWindow, recvLeft: int64(config.ConnWindow),
		peer:     peerSettings{window: firstWindow, streams: defaultStreams},
		prefaced: config.Client, // A server's preface is its SETTINGS alone.
		idle:     budget{left: idleBudget},
		resets:   budget{left: resetBudget},
	}
	c.queueSettings()
	return c
}

// OpenStreams returns how many streams are open, those included that NewStream
// has reserved.
func (c *Conn) OpenStreams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams) + c.reserved
}

// PeerConnect reports whether the server takes extended CONNECT: it has sent
// SETTINGS_ENABLE_CONNECT_PROTOCOL=1 (RFC 8441 section 3).
func (c *Conn) PeerConnect() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer.connect
}

// PeerStreams is how many streams the peer lets us have open at once (RFC 9113
// section 5.1.2). Before its first SETTINGS, and if they do not say, that is a guess.
func (c *Conn) PeerStreams() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer.streams
}

// Settled returns a channel that is closed once the peer's first SETTINGS are in.
func (c *Conn) Settled() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settledSig == nil {
		c.settledSig = make(chan struct{})
		if c.peer.known {
			close(c.settledSig)
		}
	}
	return c.settledSig
}

// NewStream reserves a place for a request. Its id is given, and its HEADERS are
// sent, by WriteHead. The error is ErrFull when the peer allows no more streams
// at present, ErrGoingAway when this connection takes no more, or why it ended.
func (c *Conn) NewStream() (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.broken != nil:
		return nil, &lostError{cause: c.broken, unseen: true}
	case c.leaving != staying || c.peerLeft != nil || c.writeErr != nil || c.nextID > maxID:
		return nil, ErrGoingAway
	case uint64(len(c.streams)+c.reserved) >= uint64(c.peer.streams):
		return nil, ErrFull
	}
	c.reserved++
	return takeStream(c), nil
}

// GoAway ends the connection gracefully: streams that are open, or under way
// while the peer does not know, are served to their end, then Serve returns
// io.EOF. Where no stream is open, that is at once. It does not wait. A
// connection that nobody serves ends in the next Serve.
func (c *Conn) GoAway() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != staying {
		return
	}
	if c.leaving = asked; len(c.streams)+c.reserved == 0 {
		c.leaving = askedIdle
	}
	c.poke()
}

// Abort closes rw at once; every stream fails.
func (c *Conn) Abort() {
	c.mu.Lock()
	c.breakOff(ErrAborted)
	c.mu.Unlock()
	c.rw.Close()
}

// breakOff notes why the connection has ended, and has everybody notice. The
// streams are failed by whoever serves. mu is held.
func (c *Conn) breakOff(err error) {
	if c.broken != nil {
		return
	}
	c.broken = err
	for _, s := range c.streams {
		s.readable.ring()
		s.writable.ring()
	}
	c.ringCrowded() // who has no stream yet among them
	c.poke()
}

// poke makes a Read of the socket return, so that Serve looks around. mu is
// held.
func (c *Conn) poke() {
	c.armed = thePast
	c.rw.SetReadDeadline(c.armed)
}

// find returns the open stream with that id, nil if there is none. mu is held.
func (c *Conn) find(id uint32) *Stream {
	lo, hi := 0, len(c.streams)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); c.streams[mid].id < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(c.streams) && c.streams[lo].id == id {
		return c.streams[lo]
	}
	return nil
}

// opens reports whether the stream with that id is one that was never used, so
// that nothing may be sent on it but HEADERS and PRIORITY (RFC 9113 section
// 5.1, "idle"). mu is held.
func (c *Conn) opens(id uint32) bool {
	if c.cfg.Client {
		return id&1 == 0 || id >= c.nextID
	}
	return id&1 == 0 || id > c.lastPeer
}

// beyond reports whether the stream came too late for a GOAWAY that was sent:
// whatever comes on it is dropped (RFC 9113 section 6.8). mu is held.
func (c *Conn) beyond(id uint32) bool {
	return !c.cfg.Client && c.leaving == departed && id&1 == 1 && id > c.lastPeer
}

const (
	maxID          = 1<<31 - 1
	maxFrame       = 16 << 10 // the least SETTINGS_MAX_FRAME_SIZE, and ours
	frameHeader    = 9        // octets
	defaultStreams = 100      // that are opened before the peer's SETTINGS are known
)

// fault makes the error that ends a connection.
func fault(code http2.ErrCode, reason string) *ConnError {
	return &ConnError{Code: code, Reason: reason}
}
