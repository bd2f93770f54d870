package upstream

import (
	"context"
	"sync/atomic"
	"time"

	"countersign.dev/internal/wire/http2"
)

// A Stream is an exchange with a target over HTTP/2, held from Target.Stream to
// Release. It shares its connection with others.
type Stream struct {
	*http2.Stream
	target   *Target
	pool     *h2Pool
	conn     *h2Conn
	reused   bool
	released atomic.Bool
}

// Target returns the target at the other end.
func (s *Stream) Target() *Target { return s.target }

// Reused reports whether the connection had a stream before this one.
func (s *Stream) Reused() bool { return s.reused }

// Connect reports whether the target takes extended CONNECT (RFC 8441 section
// 3). On a new connection it waits for the target's settings, for the connect
// timeout at most.
func (s *Stream) Connect() bool {
	if !s.conn.settled() {
		timer := time.NewTimer(s.pool.patience())
		defer timer.Stop()
		select {
		case <-s.conn.Settled():
		case <-s.conn.ended:
			return false
		case <-timer.C:
			return false
		}
	}
	return s.conn.PeerConnect()
}

// Release closes the stream and ends the exchange. Only the first one counts;
// the stream must not be touched after it.
func (s *Stream) Release() {
	if s.released.Swap(true) {
		return
	}
	s.Stream.Close()
	s.pool.release(s.conn, s.target.fleet.now())
	s.target.done(s.pool.own)
}

// Close is Release.
func (s *Stream) Close() { s.Release() }

// Stream returns a stream to the target, which must speak HTTP/2, to be given
// back with Release. Many share a connection; if none has room, one is made for
// all who wait. The error has the address in it, as the dialer's has, or is
// reach.ErrDeregistered. Nobody waits longer than the connect timeout, or than ctx.
func (t *Target) Stream(ctx context.Context) (*Stream, error) { return t.stream(ctx, nil) }

func (t *Target) stream(ctx context.Context, own *privatePool) (*Stream, error) {
	if own == nil && t.Private() {
		return nil, errUntold
	}
	pool := &t.h2
	if own != nil {
		pool = own.h2
	}
	t.inFlight.Add(1)
	s, err := pool.take(ctx)
	if err != nil {
		t.done(own)
		return nil, err
	}
	return s, nil
}
