package http2

import "time"

// Linger is Interrupt, for an owner who has said all there is to say while the
// peer still speaks: it waits for the peer's end, for patience at most, and for
// what the peer may send without being granted more. A peer that is cut short in
// the middle of a request may not look at the answer (RFC 9113 section 8.1 has
// the reset, which is what Close does, but not when).
func (s *Stream) Linger(patience time.Duration) {
	s.Interrupt()
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	w := wait{patience: patience}
	defer s.readable.done(&w)
	for !s.remoteEnded && s.failed() == nil && s.readable.wait(&c.mu, &w) {
	}
}
