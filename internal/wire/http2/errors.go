package http2

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"
)

var (
	// ErrSilent says that no stream is open and nothing came for a while.
	ErrSilent = errors.New("nothing came on the HTTP/2 connection")
	// ErrInterrupted says that Interrupt was called.
	ErrInterrupted = errors.New("the HTTP/2 stream is not read any further")
	// ErrFull says that the peer takes no further stream at present.
	ErrFull = errors.New("the HTTP/2 peer has as many streams open as it allows")
	// ErrGoingAway says that the connection takes no further stream at all.
	ErrGoingAway = errors.New("the HTTP/2 connection is going away")
	// ErrAborted says that Abort was called.
	ErrAborted = errors.New("the HTTP/2 connection was aborted")
	// ErrEnded says that the stream is written to behind its end.
	ErrEnded = errors.New("the HTTP/2 stream has been ended on this side")
)

// A ConnError is a fault of the peer that ended the connection (RFC 9113
// section 5.4.1), or the GOAWAY with which the peer ended it.
type ConnError struct {
	Code   http2.ErrCode
	Remote bool // the peer's GOAWAY said so
	Reason string
}

// Error returns the code and the reason.
func (e *ConnError) Error() string {
	if e.Remote {
		return fmt.Sprintf("the HTTP/2 peer ended the connection with %s: %s", e.Code, e.Reason)
	}
	return fmt.Sprintf("HTTP/2 connection error %s: %s", e.Code, e.Reason)
}

// A StreamError is why a stream ended before its time (RFC 9113 section 5.4.2).
type StreamError struct {
	Code   http2.ErrCode
	Remote bool // the peer's RST_STREAM said so; else it was sent by this side
	Reason string
}

// Error returns the code and the reason.
func (e *StreamError) Error() string {
	if e.Remote {
		return fmt.Sprintf("the HTTP/2 peer reset the stream with %s", e.Code)
	}
	return fmt.Sprintf("HTTP/2 stream error %s: %s", e.Code, e.Reason)
}

// A lostError is what the streams of a connection fail with that has ended.
type lostError struct {
	cause  error
	unseen bool // the peer's application surely has not seen the request
}

func (e *lostError) Error() string { return "the HTTP/2 connection has ended: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// Unprocessed reports whether err says that the peer's application has surely
// not seen the request, so that it may be sent again whatever its method: it was
// refused with REFUSED_STREAM, is above the last one that a GOAWAY named, or
// was never sent (RFC 9113 section 8.7).
func Unprocessed(err error) bool {
	if lost, ok := errors.AsType[*lostError](err); ok {
		return lost.unseen
	}
	if e, ok := errors.AsType[*StreamError](err); ok {
		return e.Remote && e.Code == http2.ErrCodeRefusedStream
	}
	return errors.Is(err, ErrFull) || errors.Is(err, ErrGoingAway)
}
