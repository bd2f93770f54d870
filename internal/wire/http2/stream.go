package http2

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"countersign.dev/internal/wire/http1"
	"countersign.dev/internal/wire/http2/fieldsection"
	"countersign.dev/internal/wire/http2/queue"
)

// A Stream is one exchange of a request and a response. It belongs to whom it was
// given, by NewStream or Serve's open, until Close. One goroutine may read while
// another writes; Interrupt may be called by any.
type Stream struct {
	Request  http1.Request  // server: filled when open is called; Minor is 1, HTTP2 true, Body NoBody, Length or Chunked, for an unknown length
	Response http1.Response // client: filled by ReadHead, until the next ReadHead
	Protocol []byte         // server: ":protocol" of an extended CONNECT (RFC 8441), else nil

	// Fault says that the head is no valid request; open is called all the same,
	// so that it can be logged and answered. Where Malformed is true it breaks
	// the rules of HTTP/2 (RFC 9113 section 8.1.1) and is best answered with
	// Reset(PROTOCOL_ERROR); else it is to be answered with Fault.Status.
	Fault     *http1.Error
	Malformed bool

	Patience time.Duration // of WriteHead; 0: the connection's

	c  *Conn
	id uint32 // 0 until HEADERS are sent

	// Of the goroutine that owns the stream.
	head   *fieldsection.Section // that Request or Response lies in
	method []byte                // client: of the request

	// Under c.mu.
	err         error // why it failed; what has arrived completely can be read all the same
	interrupted bool
	remoteEnded bool // END_STREAM came
	localEnded  bool // END_STREAM was sent, or queued
	remoteReset bool // RST_STREAM came
	localReset  bool // RST_STREAM was sent, or queued
	answered    bool // server: a response was begun; client: the final head came
	heads       []*fieldsection.Section
	tail        *fieldsection.Section // that trailers lie in
	trailers    []http1.Field
	data        queue.Queue
	length      int64 // of the content as announced, -1: unknown
	body        int64 // octets of content that came
	recvLeft    int64 // what the peer may still send
	credit      int64 // what was read and not yet granted again
	sendLeft    int64 // what we may still send
	sent        int64
	received    int64
	headAt      int64 // client: where in all that was queued HEADERS starts
	onGone      func()
	calling     bool // onGone is being called

	readable, writable bell
}

var streams sync.Pool

// takeStream returns a stream of c without an id. mu is held.
func takeStream(c *Conn) *Stream {
	s, ok := streams.Get().(*Stream)
	if !ok {
		s = &Stream{readable: bell{ch: make(chan struct{}, 1)}, writable: bell{ch: make(chan struct{}, 1)}}
	}
	s.c = c
	s.length = -1
	s.recvLeft, s.sendLeft = int64(c.cfg.Window), c.peer.window
	return s
}

// give makes s ready for others.
func (s *Stream) give() {
	s.data.Drop()
	for _, h := range s.heads {
		h.Give()
	}
	s.head.Give()
	s.tail.Give()
	s.readable.reset()
	s.writable.reset()
	s.Request.Reset()
	s.Request.Fields = nil
	*s = Stream{Request: s.Request, method: s.method[:0], heads: s.heads[:0], readable: s.readable, writable: s.writable}
	streams.Put(s)
}

// ID returns the stream's identifier, 0 before a client has sent its head.
func (s *Stream) ID() uint32 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.id
}

// Sent and Received count the octets of this stream's frames on the wire, their
// headers included.
func (s *Stream) Sent() int64 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.sent
}

// Received is described with Sent.
func (s *Stream) Received() int64 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.received
}

// ReadHead waits for the next response head, interim ones (1xx) included, and
// fills Response with it. io.EOF says that the final one was read before.
// patience 0 waits for ever; after os.ErrDeadlineExceeded it may be called
// again.
func (s *Stream) ReadHead(patience time.Duration) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	w := wait{patience: patience}
	defer s.readable.done(&w)
	for {
		switch {
		case s.interrupted:
			return ErrInterrupted
		case len(s.heads) > 0:
			s.head.Give()
			s.head = s.heads[0]
			s.heads = append(s.heads[:0], s.heads[1:]...)
			s.Response = s.head.Response
			return nil
		case s.answered:
			return io.EOF
		case s.failed() != nil:
			return s.failed()
		}
		if !s.readable.wait(&c.mu, &w) {
			return os.ErrDeadlineExceeded
		}
	}
}

// Read waits for content and returns what of it fits into p. io.EOF says that
// the content was complete, and Trailers are there. patience 0 waits for ever;
// after os.ErrDeadlineExceeded it may be called again.
func (s *Stream) Read(p []byte, patience time.Duration) (int, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	w := wait{patience: patience}
	defer s.readable.done(&w)
	for {
		switch {
		case s.interrupted:
			return 0, ErrInterrupted
		case s.data.Len() > 0:
			n := s.data.Pop(p)
			s.taken(n)
			return n, nil
		case s.remoteEnded:
			return 0, io.EOF
		case s.failed() != nil:
			return 0, s.failed()
		}
		if !s.readable.wait(&c.mu, &w) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// Buffered returns how many octets Read returns without waiting, and whether
// nothing comes behind them.
func (s *Stream) Buffered() (n int, ended bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.data.Len(), s.remoteEnded
}

// Trailers returns the trailer fields that may be used, as http1.Trailers has
// them. They are valid after Read has returned io.EOF, until Close.
func (s *Stream) Trailers() []http1.Field {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.trailers
}

// Interrupt makes the Read or ReadHead under way, and all later ones, return
// ErrInterrupted. It may be called from any goroutine, but not after Close.
func (s *Stream) Interrupt() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.interrupted {
		return
	}
	s.interrupted = true
	c.grant(int64(s.data.Drop()))
	c.flushOwed()
	s.readable.ring()
}

// OnGone has f called once, when the peer resets the stream or breaks its rules,
// or the connection ends: at once if that was before, else by the goroutine in
// Serve, which f must not hold up. A later f takes the place of the former. Once
// Close has returned, f is not running and will not be called.
func (s *Stream) OnGone(f func()) {
	s.c.mu.Lock()
	gone := s.failed() != nil
	if !gone {
		s.onGone = f
	}
	s.c.mu.Unlock()
	if gone && f != nil {
		f()
	}
}

// Reset ends the stream at once with RST_STREAM, and nothing more is written or
// read. The first one counts; after both sides have ended it does nothing.
func (s *Stream) Reset(code http2.ErrCode) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	s.reset(&StreamError{Code: code, Reason: "reset by this side"})
	c.flushOwed() // it may be called where a wait would hold up another connection
}

// reset queues RST_STREAM if that makes sense, and fails the stream. mu is held.
func (s *Stream) reset(why *StreamError) {
	c := s.c
	if s.err == nil {
		s.err = why
	}
	if s.id != 0 && !s.over() && c.broken == nil {
		s.localReset = true
		s.sent += frameHeader + 4
		if !s.remoteEnded {
			c.lost.add(s.id)
		}
		c.put(appendWord(c.buf(), http2.FrameRSTStream, s.id, uint32(why.Code)))
		c.owed++
	}
	s.readable.ring()
	s.writable.ring()
}

// over reports whether nothing more may be sent about the stream: both sides
// have ended, or one has reset it. mu is held.
func (s *Stream) over() bool {
	return s.localReset || s.remoteReset || s.localEnded && s.remoteEnded
}

// failed returns why the stream has failed, nil if it has not. mu is held.
func (s *Stream) failed() error {
	if s.err == nil && s.c.broken != nil {
		s.err = s.c.lostOne(s)
	}
	return s.err
}

// Close says that the owner is done with the stream. If it is not at its end it
// is reset: with NO_ERROR where a server has said all it wanted (RFC 9113
// section 8.1), else with CANCEL. Nobody may use s any more.
func (s *Stream) Close() {
	c := s.c
	c.mu.Lock()
	s.onGone = nil
	for s.calling {
		s.readable.wait(&c.mu, &wait{})
	}
	if s.id == 0 {
		c.reserved--
	} else {
		s.finish()
	}
	if len(c.streams)+c.reserved == 0 {
		c.lastClosed()
	}
	c.flush()
	c.mu.Unlock()
	s.give()
}

// finish takes a stream out of its connection. mu is held.
func (s *Stream) finish() {
	c := s.c
	if s.localEnded && s.remoteEnded && !s.localReset && !s.remoteReset {
		c.completed++
	}
	if !s.over() {
		code := http2.ErrCodeCancel
		if s.localEnded && !c.cfg.Client {
			code = http2.ErrCodeNo
		}
		s.reset(&StreamError{Code: code, Reason: "closed by this side"})
	}
	c.streams = without(c.streams, s)
	c.grant(int64(s.data.Drop()))
	c.passOn()
}
