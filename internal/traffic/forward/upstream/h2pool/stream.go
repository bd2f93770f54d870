package h2pool

import (
	"sync/atomic"
	"time"

	"countersign.dev/internal/wire/http2"
)

// A Stream is an exchange with a target over HTTP/2, held from Pool.Get to
// Release. It shares its connection with others.
type Stream struct {
	*http2.Stream
	pool     *Pool
	conn     *conn
	reused   bool
	released atomic.Bool
}

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
	s.pool.release(s.conn, s.pool.config.Way.Now())
	s.pool.config.Done()
}

// Close is Release.
func (s *Stream) Close() { s.Release() }
