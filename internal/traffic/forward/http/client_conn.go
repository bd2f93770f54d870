package http

import (
	"sync/atomic"
	"time"

	"countersign.dev/internal/wire/http1"
)

// What a Front is to its exchanges: source, sink and, after a switch of
// protocols, duplex.

// atHand is source's: what lies behind the head.
func (f *Front) atHand(e *Exchange) (p []byte, done bool, err error) {
	b, n := &e.body, 0
	if e.Request.Body == http1.Chunked {
		p, n, done, err = decode(&b.chunks, e.in[e.r:e.w])
	} else {
		n = int(min(b.left, int64(e.w-e.r)))
		p = e.in[e.r : e.r+n]
		b.left -= int64(n)
		done = b.left == 0
	}
	e.r += n
	e.received += int64(n)
	return p, done, err
}

// pull is source's.
func (f *Front) pull(e *Exchange, buf []byte, patience time.Duration, stop *atomic.Bool) (p []byte, done bool, err error) {
	b := &e.body
	if e.Request.Body == http1.Length && int64(len(buf)) > b.left {
		buf = buf[:b.left]
	}
	n, err := f.readClient(buf, patience, stop)
	if err != nil {
		return nil, false, err
	}
	b.taken += int64(n)
	if e.Request.Body == http1.Length {
		b.left -= int64(n)
		return buf[:n], b.left == 0, nil
	}
	p, used, done, err := decode(&b.chunks, buf[:n])
	if err == nil {
		// What lies behind the content is the beginning of the next request.
		e.rest = append(e.rest, buf[used:n]...)
		b.taken -= int64(n - used)
	}
	return p, done, err
}

// trailers is source's.
func (f *Front) trailers(e *Exchange) []http1.Field {
	if e.Request.Body != http1.Chunked {
		return nil
	}
	return e.body.chunks.Trailers()
}

// wake is source's and duplex's.
func (f *Front) wake() { f.conn.SetReadDeadline(time.Unix(1, 0)) }

// interim is sink's.
func (f *Front) interim(e *Exchange) error {
	e.out = e.appendResponse(e.out[:0], asIs, false)
	return f.send(e.out)
}

// data is sink's. The head goes out with the first content, whatever there is.
func (f *Front) data(e *Exchange, p []byte, done bool) error {
	out := e.out[:0]
	if !e.begun {
		e.begun = true
		out = e.appendResponse(out, e.frame, e.last)
	}
	switch {
	case e.frame == byChunks:
		if len(p) > 0 {
			out = appendChunk(out, p)
		}
		if done {
			out = append(out, http1.LastSize...)
			fields := e.answering.trailers()
			for i := range fields {
				if fl := &fields[i]; !e.response.Hop(fl) {
					out = appendField(out, fl)
				}
			}
			out = append(out, '\r', '\n')
		}
	case len(out) > 0:
		out = append(out, p...)
	default:
		return f.send(p)
	}
	e.out = out
	return f.send(out)
}

// measure is sink's. What is sent is counted as it goes.
func (f *Front) measure(e *Exchange) {
	e.received += e.body.taken
	e.body.taken = 0
}

// tunnel is sink's.
func (f *Front) tunnel(e *Exchange, p []byte) (duplex, error) {
	e.out = e.appendResponse(e.out[:0], switching, true)
	e.out = append(e.out, p...)
	t := &frontTunnel{f, e.in[e.r:e.w]}
	e.r, e.w = 0, 0
	return t, f.send(e.out)
}

// A frontTunnel is the client's side of a connection that has switched protocols.
type frontTunnel struct {
	*Front
	early []byte // what came on the heels of the request
}

func (t *frontTunnel) read(p []byte, patience time.Duration, stop *atomic.Bool) (int, error) {
	if len(t.early) > 0 {
		n := copy(p, t.early)
		t.early = t.early[n:]
		return n, nil
	}
	return t.readClient(p, patience, stop)
}

func (t *frontTunnel) write(p []byte) error {
	t.tick()
	return t.send(p)
}
func (t *frontTunnel) closeWrite() error { return t.conn.CloseWrite() }
