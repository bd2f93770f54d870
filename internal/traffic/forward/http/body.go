package http

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// A body is what is known of the content of the request.
type body struct {
	atHand   []byte // what came with the head
	complete bool   // nothing comes behind that, or behind what was added
	left     int64  // of http1.Length
	chunks   http1.Chunks
	size     int64 // of the content so far
	taken    int64 // from the client's connection, beside what is in Exchange.received
}

// takeBody finds what has arrived of the content behind the head, so that a
// small request leaves in one write.
func (e *Exchange) takeBody() *countersign.Denial {
	q, b := e.Request, &e.body
	chunks := b.chunks
	chunks.Reset()
	chunks.Limits = e.set.Request
	*b = body{chunks: chunks, left: q.ContentLength}
	if q.Body == http1.NoBody {
		b.complete = true
		return nil
	}
	var err error
	if b.atHand, b.complete, err = e.source.atHand(e); err != nil {
		return e.interrupted(err)
	}
	return e.measure(len(b.atHand))
}

// measure counts n octets of content and holds them against the limit.
func (e *Exchange) measure(n int) *countersign.Denial {
	if e.body.size += int64(n); e.set.Body > 0 && e.body.size > e.set.Body {
		e.body.complete = false // nobody waits for the end of it
		return tooLarge(e.body.size, e.set.Body)
	}
	return nil
}

// interrupted says why the client's content could not be read.
func (e *Exchange) interrupted(err error) *countersign.Denial {
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		return malformed(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return countersign.Deny(countersign.StageForward, countersign.RequestTimeout,
			"no byte of the request body arrived for %s (timeouts.idle)", e.set.Idle)
	}
	return countersign.Deny(countersign.StageForward, countersign.ClientClosed,
		"the client closed in the middle of the request body (%v)", err)
}

// An upload carries the rest of the content to the target while the answer is
// waited for: a target may answer before it has read everything.
type upload struct {
	line     line
	moved    atomic.Int64 // UnixNano of the last byte passed on, in either direction
	waiting  atomic.Bool  // for the client, who knows that it is its turn
	heard    atomic.Bool  // all of the content was read
	stopping atomic.Bool
	done     chan struct{}
	fault    fault

	// Valid once done is closed.
	denial *countersign.Denial // what the client did wrong
	err    error               // what the target did
}

// startUpload does nothing when there is nothing left to send.
func (e *Exchange) startUpload(l line) {
	e.up = nil
	if e.body.complete {
		return
	}
	u := &upload{line: l, done: make(chan struct{})}
	u.moved.Store(time.Now().UnixNano())
	e.up = u
	go func() {
		defer close(u.done)
		defer u.fault.keep(l.abort)
		u.run(e)
		if u.denial != nil {
			l.abort() // whoever waits for the answer waits in vain
		}
	}()
}

func (u *upload) run(e *Exchange) {
	buf := records.Get().(*[recordSize]byte)
	defer records.Put(buf)
	for first := true; !e.body.complete; first = false {
		u.waiting.Store(!first || !e.Request.ExpectContinue)
		p, done, err := e.source.pull(e, buf[:], e.set.Idle, &u.stopping)
		u.waiting.Store(false)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(u.lastMoved()) < e.set.Idle {
				continue // the answer is on its way to the client
			}
			if err != errStopped {
				u.denial = e.interrupted(err)
			}
			return
		}
		if u.denial = e.measure(len(p)); u.denial != nil {
			return
		}
		e.body.complete = done
		u.heard.Store(done)
		if len(p) == 0 && !done {
			continue
		}
		if u.err = u.line.add(e, p, done); u.err != nil {
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

// failed is valid once done is closed.
func (u *upload) failed() bool { return u.denial != nil || u.err != nil }

// settle is how long the last write of a body may go on after the answer: the
// target has read everything, unless it answers without doing so.
const settle = 100 * time.Millisecond

// stop ends the upload, if it is not over, and waits for it. It returns whether
// the client was heard out, so that its next request may follow.
func (u *upload) stop(e *Exchange) (heard bool) {
	if !u.over() {
		// The answer is complete and the client still sends: no one wants it.
		u.stopping.Store(true)
		u.line.abort()
		e.source.wake()
		<-u.done
	}
	u.fault.raise()
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

// goesOn reports whether a wait for the target that began at since and timed out
// goes on, as it does for as long as the client's content is still moving, or is
// waited for.
func (e *Exchange) goesOn(err error, since time.Time) bool {
	return e.up != nil && errors.Is(err, os.ErrDeadlineExceeded) &&
		(e.up.awaitsClient() || e.up.lastMoved().After(since))
}
