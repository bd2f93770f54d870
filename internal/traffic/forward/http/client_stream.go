package http

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
	"countersign.dev/internal/wire/http2"
)

// A stream is the client's side of one exchange over HTTP/2: source, sink and,
// after a switch of protocols, duplex.
type stream struct {
	f     *Streams
	h2    *http2.Stream
	leash leash
	ended bool // all of the answer was written
}

// gone is called when the client has reset the stream, or the connection ended.
func (s *stream) gone() {
	s.leash.cutShort(countersign.Deny(countersign.StageForward, countersign.ClientClosed,
		"the client reset the stream, or closed the connection, in the middle of the exchange"))
}

// check refuses what is no request, or none that is served by a gateway.
func (s *stream) check(e *Exchange) *countersign.Denial {
	q := e.Request
	if fault := s.h2.Fault; fault != nil {
		e.oddity = fault.Kind
		return malformed(fault)
	}
	e.oddity = q.Desync()
	if s.h2.Protocol == nil {
		return e.checkRequest()
	}
	if !http1.FoldEqual(s.h2.Protocol, websocket) {
		return countersign.Deny(countersign.StageParse, countersign.NotImplemented,
			"extended CONNECT for protocol %q, of which only websocket is known (RFC 8441)", s.h2.Protocol)
	}
	// From here on it is what it would be over HTTP/1.1: a GET that asks for an
	// upgrade. Rules and targets see one kind of WebSocket.
	q.Method, q.UpgradeTo = methodGet, s.h2.Protocol
	q.Body, q.ContentLength, q.HasContentLength, q.ExpectContinue = http1.NoBody, 0, false, false
	return nil
}

var methodGet = []byte("GET")

// hearOut is how long a client may go on with a request that has its answer
// before the stream is reset. Some take even the reset that says NO_ERROR for a
// failure.
const hearOut = 500 * time.Millisecond

// Close ends the exchange and gives its memory to others. It is called for
// exchanges of Streams alone, once.
func (e *Exchange) Close() {
	s, ok := e.source.(*stream)
	if !ok {
		return
	}
	switch {
	case e.result.Switched:
		// RFC 8441 section 5: what is not ended in order is canceled, which Close does.
	case !s.ended:
		s.h2.Reset(h2.ErrCodeInternal) // the client must not take it for complete
	case !e.body.complete:
		s.h2.Linger(hearOut)
	}
	s.h2.Close()
	e.giveBack()
}

// atHand is source's. The exchange has no other use for e.in.
func (s *stream) atHand(e *Exchange) (p []byte, done bool, err error) {
	n, ended := s.h2.Buffered()
	if n == 0 && !ended || n > len(e.in) {
		return nil, false, nil
	}
	return s.pull(e, e.in, time.Second, nil)
}

// pull is source's.
func (s *stream) pull(e *Exchange, buf []byte, patience time.Duration, _ *atomic.Bool) (p []byte, done bool, err error) {
	n, err := s.h2.Read(buf, patience)
	switch {
	case err == io.EOF:
		return nil, true, nil
	case errors.Is(err, http2.ErrInterrupted):
		return nil, false, errStopped
	case err != nil:
		return nil, false, err
	}
	left, ended := s.h2.Buffered()
	return buf[:n], ended && left == 0, nil
}

// trailers is source's.
func (s *stream) trailers(*Exchange) []http1.Field { return s.h2.Trailers() }

// wake is source's and duplex's.
func (s *stream) wake() { s.h2.Interrupt() }

// interim is sink's.
func (s *stream) interim(e *Exchange) error {
	e.frame = asIs
	return s.h2.WriteHead((*answerHead)(e), 0)
}

// data is sink's.
func (s *stream) data(e *Exchange, p []byte, done bool) error {
	trailers := done && e.answerTrails()
	last := http2.Flag(0)
	switch {
	case done && trailers:
		last = http2.More
	case done:
		last = http2.End
	}
	if !e.begun {
		e.begun = true
		flag := last
		if len(p) > 0 {
			flag = http2.More
		}
		if err := s.h2.WriteHead((*answerHead)(e), flag); err != nil {
			return err
		}
		if len(p) == 0 && flag == http2.End {
			s.written(e)
			return nil
		}
	}
	if len(p) > 0 || done && !trailers {
		if err := s.h2.Write(p, last, 2*e.set.Idle); err != nil {
			return err
		}
	}
	if trailers {
		if err := s.h2.WriteHead((*answerTrailers)(e), http2.End); err != nil {
			return err
		}
	}
	if done {
		s.written(e)
	}
	return nil
}

// written notes that the client has the whole answer.
func (s *stream) written(e *Exchange) {
	s.ended = true
	if e.terms.Last {
		s.f.h2.GoAway()
	}
}

// refuse is sink's. What is no request in the sense of RFC 9113 section 8.1.1 is
// answered with a reset.
func (s *stream) refuse(e *Exchange, a *refusal) error {
	defer s.measure(e)
	if s.h2.Malformed {
		s.ended = true
		s.h2.Reset(h2.ErrCodeProtocol)
		return nil
	}
	if a.silent {
		s.ended = true
		s.h2.Reset(h2.ErrCodeCancel)
		return nil
	}
	h := refusalHead{a, e}
	if a.grpc = !a.own && isGRPC(e.Request); a.grpc || string(e.Request.Method) == "HEAD" {
		if err := s.h2.WriteHead(&h, http2.End); err != nil {
			return err
		}
	} else if err := errors.Join(s.h2.WriteHead(&h, http2.More), s.h2.Write(a.body, http2.End, 2*e.set.Idle)); err != nil {
		return err
	}
	s.ended = true
	return nil
}

// measure is sink's.
func (s *stream) measure(e *Exchange) { e.received, e.sent = s.h2.Received(), s.h2.Sent() }

// tunnel is sink's: RFC 8441 section 5, the stream is the connection.
func (s *stream) tunnel(e *Exchange, p []byte) (duplex, error) {
	e.frame = switching
	if err := s.h2.WriteHead((*answerHead)(e), 0); err != nil {
		return nil, err
	}
	t := streamTunnel{s.h2, 2 * e.set.Idle}
	if len(p) == 0 {
		return t, nil
	}
	return t, t.write(p)
}

// A streamTunnel is a stream that has switched protocols.
type streamTunnel struct {
	h2   *http2.Stream
	wait time.Duration
}

func (t streamTunnel) read(p []byte, patience time.Duration, _ *atomic.Bool) (int, error) {
	return t.h2.Read(p, patience)
}
func (t streamTunnel) write(p []byte) error { return t.h2.Write(p, 0, t.wait) }
func (t streamTunnel) closeWrite() error    { return t.h2.Write(nil, http2.End, t.wait) }
func (t streamTunnel) wake()                { t.h2.Interrupt() }
