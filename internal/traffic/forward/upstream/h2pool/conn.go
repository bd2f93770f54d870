package h2pool

import (
	"time"

	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/http1"
	"countersign.dev/internal/wire/http2"
)

const (
	// unsettled is how many streams are opened before a target has said for the
	// first time how many it allows (RFC 9113 section 5.1.2 says as many as we like,
	// and recommends that it be 100 or more).
	unsettled = 100
	// most is how many streams a connection has at once, though the target
	// allows more.
	most = 256
	// window is how much of one answer may wait to be read, in bytes. That of the
	// connection is so much for each stream: clients that read slowly must not
	// hold up the others that share it.
	window = 256 << 10
	// headLimit is how large the head of an answer may be, in bytes: the largest
	// that a listener can allow. Connections are shared by all listeners.
	headLimit = 4 << 20
)

// A conn is an HTTP/2 connection to a target, which many exchanges share.
type conn struct {
	*http2.Conn
	secured reach.Secured
	ended   chan struct{} // closed when nothing comes on it any more

	// Guarded by the pool's mu.
	streams   int       // given out and not yet released
	served    bool      // a stream was given out
	full      bool      // the target allowed no further stream when it was asked last
	noted     bool      // the pool knows how many streams the target has allowed at first
	idleSince time.Time // the last stream was released; if none was, it was made
}

func newConn(m *reach.Made, now time.Time) *conn {
	return &conn{
		Conn: http2.New(m.Conn, http2.Config{Client: true, Window: window, ConnWindow: most * window,
			Limits: http1.Limits{Line: headLimit, Field: headLimit, Head: headLimit}}),
		secured:   m.Secured,
		ended:     make(chan struct{}),
		idleSince: now,
	}
}

// serve reads from the connection until it has ended.
func (c *conn) serve() {
	defer close(c.ended)
	defer c.Abort()                                       // closes the socket
	for err := http2.ErrSilent; err == http2.ErrSilent; { // how long it may be idle is for the reaper
		err = c.Serve(time.Hour, nil)
	}
}

// settled reports whether the target has said how many streams it allows.
func (c *conn) settled() bool {
	select {
	case <-c.Settled():
		return true
	default:
		return false
	}
}

// room reports whether c may take another stream, of which it gets first before
// the target has spoken. The caller holds the pool's mu.
func (c *conn) room(first int) bool {
	return !c.full && c.streams < most && (c.streams < first || c.noted)
}
