package http

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// A body is what is known of the request's body when the head goes out.
type body struct {
	complete bool // all of it is in f.out
	left     int64
	chunks   http1.Chunks
	size     int64 // bytes of data so far
}

// takeBody moves what has arrived of the body behind the head in f.out, so that
// a small request leaves in one write.
func (f *Front) takeBody() (denial *countersign.Denial) {
	q, b := &f.Request, &f.body
	chunks := b.chunks
	chunks.Reset()
	chunks.Limits = f.set.Request
	*b = body{chunks: chunks}
	switch q.Body {
	case http1.Length:
		n := min(q.ContentLength, int64(f.w-f.r))
		f.out = append(f.out, f.in[f.r:f.r+int(n)]...)
		f.r += int(n)
		f.received += n
		b.left = q.ContentLength - n
		b.complete = b.left == 0
	case http1.Chunked:
		before := f.r
		f.out, denial = f.recode(f.out, f.in[:f.w], &f.r)
		f.received += int64(f.r - before)
	default:
		b.complete = true
	}
	return denial
}

// recode appends the chunks in in[*at:] to dst, framed anew: extensions, odd
// spellings and trailer fields that claim an identity or framing do not pass.
func (f *Front) recode(dst, in []byte, at *int) ([]byte, *countersign.Denial) {
	b := &f.body
	for *at < len(in) && !b.complete {
		data, n, done, err := b.chunks.Next(in[*at:])
		if err != nil {
			return dst, malformed(err)
		}
		*at += n
		b.size += int64(len(data))
		if f.set.Body > 0 && b.size > f.set.Body {
			return dst, tooLarge(b.size, f.set.Body)
		}
		if len(data) > 0 {
			dst = appendChunk(dst, data)
		}
		if done {
			b.complete = true
			dst = append(dst, "0\r\n"...)
			for i := range b.chunks.Trailers() {
				if t := &b.chunks.Trailers()[i]; !f.Request.Hop(t) && !f.set.Identity.Strips(t.Name) {
					dst = appendField(dst, t)
				}
			}
			dst = append(dst, '\r', '\n')
		}
	}
	return dst, nil
}

func appendChunk(dst, data []byte) []byte {
	dst = http1.AppendChunkHeader(dst, len(data))
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}

// An upload carries the rest of a request body to the target while the answer
// is waited for: a target may answer before it has read everything.
type upload struct {
	body     *body
	conn     *upstream.Conn
	moved    atomic.Int64 // UnixNano of the last byte passed on, in either direction
	waiting  atomic.Bool  // for the client, who knows that it is its turn
	heard    atomic.Bool  // all of the body was read
	stopping atomic.Bool
	done     chan struct{}
	fault    fault

	// Valid once done is closed.
	denial   *countersign.Denial // what the client did wrong
	err      error               // what the target did
	received int64
	rest     []byte // of the next request, read with the last chunk
}

// startUpload returns nil when there is nothing left to send.
func (f *Front) startUpload(conn *upstream.Conn) *upload {
	if f.body.complete {
		return nil
	}
	u := &upload{body: &f.body, conn: conn, done: make(chan struct{})}
	u.moved.Store(time.Now().UnixNano())
	go func() {
		defer close(u.done)
		defer u.fault.keep(func() { abort(conn) })
		u.run(f)
		if u.denial != nil {
			abort(conn) // whoever waits for the answer waits in vain
		}
	}()
	return u
}

func (u *upload) run(f *Front) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	var framed []byte
	for !u.body.complete {
		in := buf[:]
		if f.Request.Body == http1.Length && int64(len(in)) > u.body.left {
			in = in[:u.body.left]
		}
		u.waiting.Store(u.received > 0 || !f.Request.ExpectContinue)
		n, err := f.readClient(in, f.set.Idle, &u.stopping)
		u.waiting.Store(false)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(u.lastMoved()) < f.set.Idle {
				continue // the answer is on its way to the client
			}
			if err != errStopped {
				u.denial = u.interrupted(f, err)
			}
			return
		}
		u.received += int64(n)
		out := buf[:n]
		if f.Request.Body == http1.Length {
			u.body.left -= int64(n)
			u.body.complete = u.body.left == 0
		} else {
			at := 0
			if framed, u.denial = f.recode(framed[:0], out, &at); u.denial != nil {
				return
			}
			// What lies behind the body is the beginning of the next request.
			u.rest = append(u.rest, out[at:]...)
			u.received -= int64(n - at)
			out = framed
		}
		u.heard.Store(u.body.complete)
		if len(out) == 0 {
			continue
		}
		if _, u.err = writeTo(u.conn, out, f.set.Wait); u.err != nil {
			return
		}
		u.moved.Store(time.Now().UnixNano())
	}
}

func (u *upload) lastMoved() time.Time { return time.Unix(0, u.moved.Load()) }

// awaitsClient reports whether it is for the client, not the target, to go on.
func (u *upload) awaitsClient() bool {
	select {
	case <-u.done:
		return false
	default:
		return u.waiting.Load()
	}
}

// interrupted says why the client's body could not be read.
func (u *upload) interrupted(f *Front, err error) *countersign.Denial {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return countersign.Deny(countersign.StageForward, countersign.RequestTimeout,
			"no byte of the request body arrived for %s (timeouts.idle)", f.set.Idle)
	}
	return countersign.Deny(countersign.StageForward, countersign.ClientClosed,
		"the client closed in the middle of the request body (%v)", err)
}

// failed is valid once done is closed.
func (u *upload) failed() bool { return u.denial != nil || u.err != nil }

// settle is how long the last write of a body may go on after the answer: the
// target has read everything, unless it answers without doing so.
const settle = 100 * time.Millisecond

// stop ends the upload, if it is not over, and waits for it. It returns whether
// the client was heard out, so that its next request may follow.
func (u *upload) stop(f *Front) (heard bool) {
	if !u.over() {
		// The answer is complete and the client still sends: no one wants it.
		u.stopping.Store(true)
		abort(u.conn)
		f.conn.SetReadDeadline(time.Unix(1, 0))
		<-u.done
	}
	u.fault.raise()
	f.received += u.received
	f.rest = u.rest
	return u.heard.Load()
}

// over reports whether the upload has ended, or does so at once.
func (u *upload) over() bool {
	if u.heard.Load() {
		select {
		case <-u.done:
			return true
		case <-time.After(settle):
			return false
		}
	}
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}
