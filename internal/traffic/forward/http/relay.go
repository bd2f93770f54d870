package http

import (
	"errors"
	"io"
	"os"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// framing says how the client is told where the content of an answer ends.
type framing uint8

const (
	asIs      framing = iota // no content: Content-Length passes, it describes what a GET would return
	byLength                 // Content-Length
	byChunks                 // as it comes: Transfer-Encoding chunked, or frames
	byClose                  // the end of the connection
	switching                // 101: the connection becomes something else
)

// answer passes the target's answer on. repeat is asked whether an error before
// it may be taken for a line that was dead.
func (e *Exchange) answer(l line, repeat func(error) bool) outcome {
	res := &e.result
	e.answering, e.begun = l, false
	for {
		if err := l.head(e); err != nil {
			if res.Replied.IsZero() && repeat(err) {
				return stale
			}
			res.Denial = e.noAnswer(l, err)
			return spoiled
		}
		if e.tick(); res.Replied.IsZero() {
			res.Replied = e.clock
		}
		if p := e.response; p.Status == 101 || p.Status >= 200 {
			break
		}
		// An interim response: passed on, but never to HTTP/1.0 (RFC 9110 section 15.2).
		if e.Request.Minor > 0 {
			if err := e.sink.interim(e); err != nil {
				return e.clientGone(err)
			}
		}
	}
	res.TargetStatus = e.response.Status
	if e.response.Status == 101 {
		return e.switchProtocols(l)
	}
	if e.Request.HTTP2 && e.Request.UpgradeTo != nil && e.response.Status < 300 {
		// To a client that sent CONNECT it would say that the WebSocket is there.
		e.result.Denial = countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"target %s answered %d and did not switch to websocket", l.target().Address(), e.response.Status)
		return spoiled
	}
	return e.final(l)
}

// errPartialHead is the end of a connection in the middle of a response head.
var errPartialHead = errors.New("the connection ended in the middle of a response head")

// noAnswer says why there is no response head to pass on.
func (e *Exchange) noAnswer(l line, err error) *countersign.Denial {
	where := l.target().Address()
	if d := turnedAway(err); d != nil {
		return d
	}
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		return countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"the answer of target %s is not valid HTTP: %s: %s", where, bad.Kind, bad.Reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return countersign.Deny(countersign.StageForward, countersign.TargetTimeout,
			"target %s sent nothing for %s (timeouts.response)", where, e.set.Wait)
	case errors.Is(err, errPartialHead):
		return countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"target %s closed in the middle of a response head (%v)", where, err)
	}
	return countersign.Deny(countersign.StageForward, countersign.TargetClosed,
		"target %s closed the connection before it answered (%v)", where, err)
}

// final passes the final response on, its content with it.
func (e *Exchange) final(l line) outcome {
	p, res := e.response, &e.result
	switch {
	case p.Body == http1.NoBody && !e.Request.HTTP2 && !p.HasContentLength && p.Status != 204 && p.Status != 304 && string(e.Request.Method) != "HEAD":
		// HTTP/2 can end an answer with its head. HTTP/1.1 would wait for the end of
		// the connection (RFC 9112 section 6.3).
		e.frame = byLength
	case p.Body == http1.NoBody:
		e.frame = asIs
	case p.Body == http1.Length:
		e.frame = byLength
	case e.Request.Minor == 0:
		e.frame = byClose
	default:
		e.frame = byChunks
	}
	// A body that is still on its way when the answer is there may never end;
	// this connection carries no other request.
	early := e.up != nil && !e.up.heard.Load()
	e.last = early || e.frame == byClose || e.terms.Last || !e.Request.KeepAlive || e.client.closing.Load()
	res.Status, res.Answered, res.Answering = p.Status, true, e.clock
	res.KeepAlive, res.Unread = !e.last, early

	for wait := false; ; wait = true {
		data, done, err := l.content(e, wait)
		if err != nil {
			return e.tornOff(l, err)
		}
		if wait {
			e.tick()
		}
		if err := e.sink.data(e, data, done); err != nil {
			return e.clientGone(err)
		}
		if done {
			return clean
		}
		if e.up != nil {
			e.up.moved.Store(time.Now().UnixNano())
		}
	}
}

// tornOff ends an answer of which the client has the head, and a part of the
// content perhaps. Only the end of the connection, or of the stream, can tell it
// that the rest will not come.
func (e *Exchange) tornOff(l line, err error) outcome {
	e.result.KeepAlive = false
	e.torn = e.frame == byClose
	where := l.target().Address()
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		e.result.Denial = countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"the body from target %s is not valid: %s: %s", where, bad.Kind, bad.Reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.result.Denial = countersign.Deny(countersign.StageForward, countersign.TargetTimeout,
			"target %s stopped in the middle of a body for %s", where, e.set.Wait)
	default:
		e.result.Denial = countersign.Deny(countersign.StageForward, countersign.TargetClosed,
			"target %s closed in the middle of a body (%v)", where, err)
	}
	return spoiled
}

func (e *Exchange) clientGone(err error) outcome {
	e.result.KeepAlive = false
	e.result.Denial = countersign.Deny(countersign.StageForward, countersign.ClientClosed,
		"the client went away before it had the whole answer (%v)", err)
	return spoiled
}

// unexpected tells an end that comes too soon from a regular one.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
