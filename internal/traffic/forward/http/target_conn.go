package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/wire/http1"
)

// A connLine is the line to a target that speaks HTTP/1.1: a connection, for one
// exchange after the other.
type connLine struct {
	conn   *pool.Conn
	to     *upstream.Target
	pooled pooledBuffer
	buf    []byte // buf[r:w] was read and is not consumed yet
	r, w   int
	heard  bool // something came
	full   bool // the last read filled the buffer: more is there
	wait   time.Duration

	// Of the answer.
	body      http1.BodyKind
	left      int64
	chunks    http1.Chunks
	keepAlive bool

	framed []byte // what add assembles
}

// connect makes l a line to the target. It may have been one to another before.
func (l *connLine) connect(e *Exchange, t *upstream.Target, fresh bool) (line, bool, error) {
	var conn *pool.Conn
	var reused bool
	var err error
	if fresh {
		ctx, cancel := context.WithTimeout(context.Background(), e.set.Wait)
		if own := e.terms.Private; own != nil {
			conn, err = own.Dial(ctx, t)
		} else {
			conn, err = t.Dial(ctx)
		}
		cancel()
	} else if own := e.terms.Private; own != nil {
		conn, reused, err = own.Get(t)
	} else {
		conn, reused, err = t.Get()
	}
	if err != nil {
		return nil, false, err
	}
	chunks := l.chunks
	chunks.Reset()
	chunks.Limits = e.set.Response
	*l = connLine{conn: conn, to: t, wait: e.set.Wait, chunks: chunks, framed: l.framed[:0]}
	if len(e.out) == 0 {
		e.out = e.appendRequest(e.out)
	}
	return l, reused, nil
}

func (l *connLine) target() *upstream.Target { return l.to }

func (l *connLine) abort() { l.conn.Net().Close() }

func (l *connLine) release(clean bool) {
	clean = clean && l.keepAlive && l.r == l.w
	l.pooled.giveBack()
	l.conn.Release(clean)
	l.conn, l.buf = nil, nil
}

// ask sends what e.out holds: the head with what is at hand of the content.
func (l *connLine) ask(e *Exchange) (sent bool, err error) {
	n, err := l.send(e.out, e.clock)
	if n > firstSize { // it may have taken a while
		e.tick()
	}
	return n > 0, err
}

func (l *connLine) add(e *Exchange, p []byte, done bool) error {
	if e.Request.Body == http1.Chunked {
		l.framed = e.appendContent(l.framed[:0], p, done)
		p = l.framed
	}
	_, err := l.send(p, time.Now())
	return err
}

// send writes to the target, which has wait to take all of p.
func (l *connLine) send(p []byte, now time.Time) (int, error) {
	if err := l.conn.ArmWrite(now, l.wait); err != nil {
		return 0, err
	}
	return l.conn.Write(p)
}

// head reads one response head.
func (l *connLine) head(e *Exchange) error {
	if l.buf == nil {
		l.buf = l.pooled.take()
	}
	e.response = &e.heads.response
	p := e.response
	p.Reset()
	for {
		if l.w > l.r {
			n, err := p.Parse(l.buf[l.r:l.w], e.set.Response, e.Request.Method)
			if err == nil {
				l.r += n
				l.body, l.left, l.keepAlive = p.Body, p.ContentLength, p.KeepAlive
				return nil
			}
			if !errors.Is(err, http1.ErrIncomplete) {
				return err
			}
		}
		if l.w == len(l.buf) {
			if l.r == 0 && !l.grow(e.set.Response.Head) {
				return &http1.Error{Status: 502, Kind: http1.TooLarge,
					Reason: fmt.Sprintf("the head does not end within %d bytes (limits.response_headers)", len(l.buf))}
			}
			l.compact()
		}
		if err := l.read(e, e.clock); err != nil {
			if l.w > l.r && !errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("%w: %v", errPartialHead, err)
			}
			return err
		}
	}
}

// grow makes the buffer larger, up to the one that heads or content may need.
func (l *connLine) grow(head int) bool {
	switch have := l.buf[l.r:l.w]; {
	case len(l.buf) < min(head, largeSize):
		l.buf = l.pooled.enlarge(have)
	case len(l.buf) < head:
		l.buf = append(make([]byte, 0, head), have...)[:head]
	default:
		return false
	}
	l.r, l.w = 0, l.w-l.r
	return true
}

// compact makes room behind what is not consumed yet.
func (l *connLine) compact() {
	l.w = copy(l.buf, l.buf[l.r:l.w])
	l.r = 0
}

// read reads once from the target, which may be silent for wait from since on.
func (l *connLine) read(e *Exchange, since time.Time) error {
	for {
		if err := l.conn.ArmRead(since, l.wait); err != nil {
			return err
		}
		n, err := l.conn.Read(l.buf[l.w:])
		l.w += n
		switch {
		case n > 0:
			l.heard, l.full = true, l.w == len(l.buf)
			return nil
		case err == nil:
		case e.goesOn(err, since):
			since = time.Now()
		default:
			return err
		}
	}
}

// repeatable: a connection that was idle may have been closed in the same moment.
func (l *connLine) repeatable(err error) (perhaps, surely bool) {
	return !l.heard && !errors.Is(err, os.ErrDeadlineExceeded) && turnedAway(err) == nil, false
}

// content returns slices of the buffer.
func (l *connLine) content(e *Exchange, wait bool) (p []byte, done bool, err error) {
	if l.body == http1.NoBody {
		return nil, true, nil
	}
	if wait {
		l.compact()
		if len(l.buf) < largeSize && (l.left > bufferSize || l.full) {
			l.grow(largeSize)
		}
		if err := l.read(e, time.Now()); err != nil {
			if err == io.EOF && l.body == http1.UntilClose {
				l.keepAlive = false
				return nil, true, nil
			}
			return nil, false, unexpected(err)
		}
	}
	switch l.body {
	case http1.Length:
		p = l.buf[l.r : l.r+int(min(l.left, int64(l.w-l.r)))]
		l.r += len(p)
		l.left -= int64(len(p))
		return p, l.left == 0, nil
	case http1.Chunked:
		p, n, done, err := decode(&l.chunks, l.buf[l.r:l.w])
		l.r += n
		return p, done, err
	default:
		p = l.buf[l.r:l.w]
		l.r = l.w
		return p, false, nil
	}
}

func (l *connLine) trailers() []http1.Field {
	if l.body != http1.Chunked {
		return nil
	}
	return l.chunks.Trailers()
}

// decode returns the content of the chunks in in, moved together within it. n is
// how much of in was used.
func decode(chunks *http1.Chunks, in []byte) (p []byte, n int, done bool, err error) {
	for n < len(in) && !done {
		piece, k, end, err := chunks.Next(in[n:])
		if err != nil {
			return nil, n, false, err
		}
		n += k
		done = end
		switch {
		case len(p) == 0:
			p = piece
		case len(piece) > 0:
			// What was consumed leaves room for both from the start of in.
			have := copy(in, p)
			have += copy(in[have:], piece)
			p = in[:have]
		}
	}
	return p, n, done, nil
}

func (l *connLine) tunnel(e *Exchange) (duplex, []byte) {
	early := l.buf[l.r:l.w]
	l.r = l.w
	return connTunnel{l.conn, e.set.Idle}, early
}

// A connTunnel is the target's side of a connection that has switched protocols.
type connTunnel struct {
	conn *pool.Conn
	idle time.Duration
}

func (t connTunnel) read(p []byte, patience time.Duration, _ *atomic.Bool) (int, error) {
	if err := t.conn.ArmRead(time.Now(), patience); err != nil {
		return 0, err
	}
	return t.conn.Read(p)
}

func (t connTunnel) write(p []byte) error {
	if err := t.conn.ArmWrite(time.Now(), t.idle); err != nil {
		return err
	}
	_, err := t.conn.Write(p)
	return err
}

// closeWrite tells the target that nothing more will come.
func (t connTunnel) closeWrite() error { return t.conn.CloseWrite() }

func (t connTunnel) wake() { t.conn.Net().Close() }
