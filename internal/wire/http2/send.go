package http2

import (
	"os"
	"time"

	"golang.org/x/net/http2"
)

// A Flag says what follows behind what is written.
type Flag uint8

const (
	End  Flag = 1 << iota // END_STREAM: nothing follows
	More                  // more follows at once: do not flush
)

// writeFault returns why nothing can be written to the stream, nil if it can.
// mu is held.
func (s *Stream) writeFault() error {
	if err := s.failed(); err != nil {
		return err
	}
	if s.localEnded {
		return ErrEnded
	}
	return nil
}

// WriteHead sends a field section: of a request, an interim or final response,
// or trailers, with End. It waits while the peer does not take what is queued,
// for Patience and for WriteTimeout at most.
func (s *Stream) WriteHead(h Head, f Flag) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	w := wait{patience: s.Patience}
	defer s.writable.done(&w)
	if err := s.awaitRoom(&w); err != nil {
		return err
	}
	if s.id == 0 {
		if c.leaving != staying || c.peerLeft != nil || c.nextID > maxID {
			return ErrGoingAway
		}
		if uint64(len(c.streams)) >= uint64(c.peer.streams) {
			return ErrFull // SETTINGS came, or lowered the limit, after the place was reserved
		}
		s.id = c.nextID
		if c.nextID += 2; c.nextID > maxID && c.leaving == staying {
			// RFC 9113 section 5.1.1: there is no other number. What is under way is
			// the last of the connection.
			c.leaving = asked
			c.poke()
		}
		c.reserved--
		s.headAt = c.queued
		s.sendLeft = c.peer.window
		c.streams = append(c.streams, s)
	}
	c.encode(s, h, f&End != 0)
	s.localEnded = f&End != 0
	if f&More == 0 {
		c.flush()
	}
	return nil
}

// Write sends p as DATA, as the peer's windows allow. It waits for them, and
// while the peer does not take what is queued, for patience; 0 waits for ever.
// p may be reused afterward. An error leaves open how much of p was sent.
func (s *Stream) Write(p []byte, f Flag, patience time.Duration) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	w := wait{patience: patience}
	defer s.writable.done(&w)
	defer c.passOn()
	for {
		if err := s.awaitRoom(&w); err != nil {
			return err
		}
		n := max(0, int(min(int64(len(p)), maxFrame, s.sendLeft, c.sendLeft)))
		if n > 0 || len(p) == 0 {
			s.putData(p[:n], n == len(p) && f&End != 0)
			if p = p[n:]; len(p) > 0 {
				continue
			}
			c.framed++
			if f&More == 0 {
				c.flushFor(f)
			}
			return nil
		}
		if c.out != nil && !c.flushing {
			c.flushFor(f)
			continue // The windows may have moved meanwhile.
		}
		c.passOn()
		starved := s.sendLeft > 0
		if starved {
			c.starved = append(c.starved, s)
		}
		ok := s.writable.wait(&c.mu, &w)
		if starved {
			c.starved = without(c.starved, s)
		}
		if !ok {
			return os.ErrDeadlineExceeded
		}
	}
}

// putData queues one DATA frame, if it says anything. mu is held.
func (s *Stream) putData(p []byte, end bool) {
	c := s.c
	if len(p) == 0 && !end {
		return
	}
	var flags http2.Flags
	if end {
		flags = http2.FlagDataEndStream
		s.localEnded = true
	}
	n := int64(len(p))
	c.put(append(appendHeader(c.buf(), len(p), http2.FrameData, flags, s.id), p...))
	s.sendLeft -= n
	c.sendLeft -= n
	c.flowed += n
	s.sent += frameHeader + n
}
