package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	h2 "golang.org/x/net/http2"

	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/wire/http1"
	"countersign.dev/internal/wire/http2"
)

// A streamLine is the line to a target that speaks HTTP/2: a stream, beside
// others on one connection.
type streamLine struct {
	stream *h2pool.Stream
	to     *upstream.Target
	pooled *[bufferSize]byte
	wait   time.Duration
}

// connect makes l a line to the target. It may have been one to another before.
func (l *streamLine) connect(e *Exchange, t *upstream.Target) (line, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.set.Wait)
	defer cancel()
	var s *h2pool.Stream
	var err error
	if own := e.terms.Private; own != nil {
		s, err = own.Stream(ctx, t)
	} else {
		s, err = t.Stream(ctx)
	}
	if err != nil {
		return nil, false, err
	}
	s.Patience = e.set.Wait
	*l = streamLine{stream: s, to: t, wait: e.set.Wait}
	// A target that takes no extended CONNECT gets the request as if there were no
	// wish to upgrade, which it may ignore (RFC 9110 section 7.8).
	e.switching = e.wantsWebSocket() && s.Connect()
	return l, s.Reused(), nil
}

func (l *streamLine) target() *upstream.Target { return l.to }

func (l *streamLine) abort() {
	l.stream.Interrupt()
	l.stream.Reset(h2.ErrCodeCancel)
}

func (l *streamLine) release(bool) {
	if l.pooled != nil {
		buffers.Put(l.pooled)
	}
	l.stream.Release()
	l.stream, l.pooled = nil, nil
}

func (l *streamLine) ask(e *Exchange) (sent bool, err error) {
	b := &e.body
	flag := http2.Flag(0)
	switch {
	case e.switching:
	case b.complete && len(b.atHand) == 0 && !e.requestTrails():
		flag = http2.End
	case b.complete || len(b.atHand) > 0:
		flag = http2.More
	}
	if err := l.stream.WriteHead((*requestHead)(e), flag); err != nil {
		return false, err
	}
	if flag != http2.More {
		return true, nil
	}
	return true, l.add(e, b.atHand, b.complete)
}

func (l *streamLine) add(e *Exchange, p []byte, done bool) error {
	if !done {
		return l.stream.Write(p, 0, l.wait)
	}
	if !e.requestTrails() {
		return l.stream.Write(p, http2.End, l.wait)
	}
	if len(p) > 0 {
		if err := l.stream.Write(p, http2.More, l.wait); err != nil {
			return err
		}
	}
	return l.stream.WriteHead((*requestTrailers)(e), http2.End)
}

func (l *streamLine) head(e *Exchange) error {
	for since := e.clock; ; since = time.Now() {
		err := l.stream.ReadHead(l.wait)
		if err == nil {
			break
		}
		if !e.goesOn(err, since) {
			return judged(err)
		}
	}
	e.response = &l.stream.Response
	if err := fits(e.response, &e.set.Response); err != nil {
		return err
	}
	if p := e.response; e.switching && p.Status >= 200 && p.Status < 300 {
		// What it would be over HTTP/1.1.
		p.Status, p.UpgradeTo = 101, protocolWebSocket
	}
	return nil
}

// judged makes an error of the codec of what the target did against the rules.
func judged(err error) error {
	if e, ok := errors.AsType[*http2.StreamError](err); ok && !e.Remote {
		return &http1.Error{Status: 502, Kind: e.Code.String(), Reason: e.Reason}
	}
	if e, ok := errors.AsType[*http2.ConnError](err); ok && !e.Remote {
		return &http1.Error{Status: 502, Kind: e.Code.String(), Reason: e.Reason}
	}
	return err
}

// fits holds a head against the limits of the listener: the connection, on which
// it came, is there for all of them. It is measured as HTTP/1.1 writes it.
func fits(p *http1.Response, limits *http1.Limits) error {
	head := 0
	for i := range p.Fields {
		n := len(p.Fields[i].Name) + len(": \r\n") + len(p.Fields[i].Value)
		if head += n; n > limits.Field || head > limits.Head {
			return &http1.Error{Status: 502, Kind: http1.TooLarge,
				Reason: fmt.Sprintf("a head larger than %d bytes, or a field in it larger than %d (limits.response_headers)", limits.Head, limits.Field)}
		}
	}
	return nil
}

// repeatable: of a stream that was refused the target knows nothing; of one that
// was lost with its connection it may or may not.
func (l *streamLine) repeatable(err error) (perhaps, surely bool) {
	_, told := errors.AsType[*http2.StreamError](err)
	_, bad := errors.AsType[*http1.Error](err)
	if turnedAway(err) != nil {
		return false, false // which is not to be asked again
	}
	return !told && !bad && !errors.Is(err, os.ErrDeadlineExceeded), http2.Unprocessed(err)
}

func (l *streamLine) content(e *Exchange, wait bool) (p []byte, done bool, err error) {
	if l.pooled == nil {
		l.pooled = buffers.Get().(*[bufferSize]byte)
	}
	if left, ended := l.stream.Buffered(); !wait && left == 0 {
		return nil, ended, nil
	}
	for since := e.clock; ; since = time.Now() {
		n, err := l.stream.Read(l.pooled[:], l.wait)
		switch {
		case n > 0:
			left, ended := l.stream.Buffered()
			return l.pooled[:n], ended && left == 0, nil
		case err == io.EOF:
			return nil, true, nil
		case err != nil && !e.goesOn(err, since):
			return nil, false, judged(err)
		}
	}
}

func (l *streamLine) trailers() []http1.Field { return l.stream.Trailers() }

func (l *streamLine) tunnel(e *Exchange) (duplex, []byte) {
	return lineTunnel{streamTunnel{l.stream.Stream, e.set.Idle}}, nil
}

// A lineTunnel is the target's stream after a switch of protocols.
type lineTunnel struct{ streamTunnel }

func (t lineTunnel) wake() {
	t.h2.Interrupt()
	t.h2.Reset(h2.ErrCodeCancel)
}
