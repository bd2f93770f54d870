package http

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// A relay reads a target's answer and writes it to the client.
type relay struct {
	f    *Front
	x    *Exchange
	conn *upstream.Conn
	up   *upload
	res  *Result
	buf  []byte
	r, w int
}

// answer passes the target's answer on. mayRepeat says that an end of the
// connection before the first byte may be taken for a connection that was dead.
func (f *Front) answer(x *Exchange, conn *upstream.Conn, up *upload, mayRepeat bool) outcome {
	pooled := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(pooled)
	a, res := &f.relay, &f.result
	*a = relay{f: f, x: x, conn: conn, up: up, res: res, buf: pooled[:]}
	if f.set.Response.Head > len(a.buf) {
		a.buf = make([]byte, f.set.Response.Head)
	}
	for {
		err := a.head()
		if err != nil {
			if mayRepeat && a.w == 0 && !errors.Is(err, os.ErrDeadlineExceeded) && !f.cut.Load() {
				return stale
			}
			res.Denial = a.noAnswer(err)
			return spoiled
		}
		if res.Replied.IsZero() {
			res.Replied = time.Now()
		}
		mayRepeat = false
		p := &f.response
		if p.Status == 101 || p.Status >= 200 {
			break
		}
		// An interim response: passed on, but never to HTTP/1.0 (RFC 9110 section 15.2).
		if f.Request.Minor > 0 {
			f.out = f.appendResponse(f.out[:0], asIs, false)
			if err := f.send(f.out); err != nil {
				return a.clientGone(err)
			}
		}
	}
	res.TargetStatus = f.response.Status
	if f.response.Status == 101 {
		return a.switchProtocols()
	}
	return a.final()
}

// head reads one response head.
func (a *relay) head() error {
	p := &a.f.response
	p.Reset()
	for {
		if a.w > a.r {
			n, err := p.Parse(a.buf[a.r:a.w], a.f.set.Response, a.f.Request.Method)
			if err == nil {
				a.r += n
				return nil
			}
			if !errors.Is(err, http1.ErrIncomplete) {
				return err
			}
		}
		if a.w == len(a.buf) {
			if a.r == 0 {
				return &http1.Error{Status: 502, Kind: http1.TooLarge,
					Reason: fmt.Sprintf("the head does not end within %d bytes (limits.response_headers)", len(a.buf))}
			}
			a.w = copy(a.buf, a.buf[a.r:a.w])
			a.r = 0
		}
		if err := a.read(); err != nil {
			return err
		}
	}
}

// read reads once from the target. The wait begins anew for as long as the
// client's body is still moving, or is waited for.
func (a *relay) read() error {
	for since := time.Now(); ; {
		n, err := readFrom(a.conn, a.buf[a.w:], a.f.set.Wait)
		a.w += n
		if n > 0 {
			return nil
		}
		if err == nil {
			continue
		}
		if a.up != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			if a.up.awaitsClient() || a.up.lastMoved().After(since) {
				since = time.Now()
				continue
			}
		}
		return err
	}
}

// noAnswer says why there is no response head to pass on.
func (a *relay) noAnswer(err error) *countersign.Denial {
	where := a.conn.Target().Address()
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		return countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"the answer of target %s is not valid HTTP/1.1: %s: %s", where, bad.Kind, bad.Reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return countersign.Deny(countersign.StageForward, countersign.TargetTimeout,
			"target %s sent nothing for %s (timeouts.response)", where, a.f.set.Wait)
	case a.w > a.r:
		return countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"target %s closed in the middle of a response head (%v)", where, err)
	}
	return countersign.Deny(countersign.StageForward, countersign.TargetClosed,
		"target %s closed the connection before it answered (%v)", where, err)
}

// final passes the final response on, its body with it.
func (a *relay) final() outcome {
	f, p := a.f, &a.f.response
	frame := asIs
	switch {
	case p.Body == http1.NoBody:
	case p.Body == http1.Length:
		frame = byLength
	case f.Request.Minor == 0:
		frame = byClose
	default:
		frame = byChunks
	}
	// A body that is still on its way when the answer is there may never end;
	// this connection carries no other request.
	early := a.up != nil && !a.up.heard.Load()
	closing := early || frame == byClose || a.x.Last || !f.Request.KeepAlive || f.closing.Load()
	f.out = f.appendResponse(f.out[:0], frame, closing)
	a.res.Status, a.res.Answered, a.res.Answering = p.Status, true, time.Now()
	a.res.KeepAlive, a.res.Unread = !closing, early

	var err error
	switch p.Body {
	case http1.NoBody:
		err = f.send(f.out)
	case http1.Length:
		err = a.lengthBody()
	case http1.Chunked:
		err = a.chunkedBody(frame == byChunks)
	default:
		err = a.untilClose(frame == byChunks)
	}
	switch {
	case err == nil && p.KeepAlive && a.r == a.w && p.Body != http1.UntilClose:
		return clean
	case err == nil:
		return spoiled
	case errors.Is(err, errClient):
		return a.clientGone(err)
	}
	// The client has a head and a part of a body. Only the end of the
	// connection can tell it that the rest will not come.
	a.res.KeepAlive = false
	f.torn = frame == byClose
	var bad *http1.Error
	if errors.As(err, &bad) {
		a.res.Denial = countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"the body from target %s is not valid: %s: %s", a.conn.Target().Address(), bad.Kind, bad.Reason)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		a.res.Denial = countersign.Deny(countersign.StageForward, countersign.TargetTimeout,
			"target %s stopped in the middle of a body for %s", a.conn.Target().Address(), f.set.Wait)
	} else {
		a.res.Denial = countersign.Deny(countersign.StageForward, countersign.TargetClosed,
			"target %s closed in the middle of a body (%v)", a.conn.Target().Address(), err)
	}
	return spoiled
}

// errClient marks an error of the client's side.
var errClient = errors.New("writing to the client")

func (a *relay) clientGone(err error) outcome {
	a.res.KeepAlive = false
	a.res.Denial = countersign.Deny(countersign.StageForward, countersign.ClientClosed,
		"the client went away before it had the whole answer (%v)", err)
	return spoiled
}

// toClient sends p and marks an error as the client's.
func (a *relay) toClient(p []byte) error {
	if err := a.f.send(p); err != nil {
		return errors.Join(errClient, err)
	}
	if a.up != nil {
		a.up.moved.Store(time.Now().UnixNano())
	}
	return nil
}

// lengthBody passes on a body of known length. The head waits in f.out and goes
// out with the first part.
func (a *relay) lengthBody() error {
	f, left := a.f, a.f.response.ContentLength
	for first := true; ; first = false {
		n := int(min(left, int64(a.w-a.r)))
		data := a.buf[a.r : a.r+n]
		a.r += n
		left -= int64(n)
		if first {
			f.out = append(f.out, data...)
			data = f.out
		}
		if len(data) > 0 {
			if err := a.toClient(data); err != nil {
				return err
			}
		}
		if left == 0 {
			return nil
		}
		if err := a.refill(); err != nil {
			return unexpected(err)
		}
	}
}

// chunkedBody passes on a chunked body, framed anew; to HTTP/1.0 without framing.
func (a *relay) chunkedBody(framed bool) error {
	f := a.f
	chunks := http1.Chunks{Limits: f.set.Response}
	for {
		done := false
		for !done && a.r < a.w {
			data, n, end, err := chunks.Next(a.buf[a.r:a.w])
			if err != nil {
				return err
			}
			a.r += n
			done = end
			switch {
			case len(data) == 0:
			case framed:
				f.out = appendChunk(f.out, data)
			default:
				f.out = append(f.out, data...)
			}
		}
		if done && framed {
			f.out = append(f.out, "0\r\n"...)
			for i := range chunks.Trailers() {
				if t := &chunks.Trailers()[i]; !f.response.Hop(t) {
					f.out = appendField(f.out, t)
				}
			}
			f.out = append(f.out, '\r', '\n')
		}
		if len(f.out) > 0 {
			if err := a.toClient(f.out); err != nil {
				return err
			}
			f.out = f.out[:0]
		}
		if done {
			return nil
		}
		if err := a.refill(); err != nil {
			return unexpected(err)
		}
	}
}

// untilClose passes on a body that ends with the target's connection.
func (a *relay) untilClose(framed bool) error {
	f := a.f
	for {
		if data := a.buf[a.r:a.w]; len(data) > 0 {
			if framed {
				f.out = appendChunk(f.out, data)
			} else {
				f.out = append(f.out, data...)
			}
			a.r = a.w
		}
		if err := a.toClient(f.out); err != nil {
			return err
		}
		f.out = f.out[:0]
		err := a.refill()
		if err == io.EOF {
			if framed {
				return a.toClient([]byte("0\r\n\r\n"))
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// refill reads more of the body; what the decoder has not consumed is kept.
func (a *relay) refill() error {
	a.w = copy(a.buf, a.buf[a.r:a.w])
	a.r = 0
	return a.read()
}

// unexpected tells an end that comes too soon from a regular one.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
