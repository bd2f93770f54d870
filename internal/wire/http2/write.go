package http2

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/net/http2"
)

const (
	// mostQueued is how many octets may be queued before writers wait.
	mostQueued = 64 << 10
	// mostOwed is how many frames may be queued that the peer made us send, resets
	// by the owners of streams among them: more of them means that it asks and does
	// not read (CVE-2019-9512, -9514, -9515).
	mostOwed = 2048
	// mostRounds is how often one goroutine writes what others have queued
	// meanwhile before it goes back to its own work.
	mostRounds = 4
	// farewell is how long the last words of a connection may take.
	farewell = time.Second
)

// buf returns what is queued, for frames to be appended and put. mu is held.
func (c *Conn) buf() []byte {
	if c.out == nil {
		c.out = takeOutput()
	}
	return c.out.b
}

// put queues what was appended to buf. mu is held.
func (c *Conn) put(b []byte) {
	c.queued += int64(len(b) - len(c.out.b))
	c.out.b = b
}

// owe queues a frame that the peer made the reader send. Whoever writes next
// takes it along; if nobody does, the reader has it written before it waits.
func (c *Conn) owe(b []byte) *ConnError {
	c.put(b)
	c.owed++
	return c.overdue()
}

// overdue looks whether the peer reads at all. mu is held.
func (c *Conn) overdue() *ConnError {
	if c.owed > mostOwed {
		return fault(http2.ErrCodeEnhanceYourCalm, "thousands of answers are due, and none is read (CVE-2019-9512)")
	}
	return nil
}

// appendHeader appends a frame header (RFC 9113 section 4.1).
func appendHeader(b []byte, length int, t http2.FrameType, f http2.Flags, id uint32) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(f),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// appendWord appends a frame whose payload is one number: RST_STREAM or
// WINDOW_UPDATE.
func appendWord(b []byte, t http2.FrameType, id, v uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(b, 4, t, 0, id), v)
}

// flush writes what is queued, and what others queue meanwhile, unless somebody
// is at it already. mu is held, but not while it writes.
func (c *Conn) flush() {
	if c.flushing || c.out == nil {
		return
	}
	c.flushing = true
	c.flushers.Add(1)
	if len(c.streams) > 1 {
		// Others that are about to answer come first: one write for all of them.
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	if !c.writeRounds(mostRounds) {
		go c.flushOn()
	}
}

// flushFor is flush for who writes content, behind which comes more unless f has
// End. A server that takes nothing holds up a write for as long as WriteTimeout; who
// writes to one has less patience, and may be told to give up. So what is likely to
// fill the socket is not written on his goroutine. mu is held.
func (c *Conn) flushFor(f Flag) {
	if c.cfg.Client && (f&End == 0 || c.out != nil && len(c.out.b) > maxFrame) {
		c.flushOwed()
	} else {
		c.flush()
	}
}

// flushOwed has what is queued written by another goroutine, for the reader,
// which must not wait for a write, and for others who cannot. mu is held.
func (c *Conn) flushOwed() {
	if !c.flushing && c.out != nil {
		c.flushing = true
		c.flushers.Add(1)
		go c.flushOn()
	}
}

func (c *Conn) flushOn() {
	c.mu.Lock()
	c.writeRounds(1 << 30)
	c.mu.Unlock()
}

// writeRounds writes until nothing is queued, and returns true then; or false
// after a number of times, while flushing goes on to be true.
func (c *Conn) writeRounds(most int) bool {
	for n := 0; c.out != nil; n++ {
		if n == most {
			return false
		}
		out := c.out
		c.out, c.owed = nil, 0
		if c.writeErr == nil && (c.broken == nil || c.ended) {
			c.attempted += int64(len(out.b))
			c.armWrite()
			c.mu.Unlock()
			_, err := c.rw.Write(out.b)
			c.mu.Lock()
			if err != nil {
				c.writeErr = err
				c.hearOut()
			}
		}
		out.give()
		c.ringCrowded()
	}
	c.flushing = false
	c.flushers.Done()
	return true
}

// hearOut has the reader take what a server has said before it was gone, for it
// may be why: its answer to a request that it did not want whole, GOAWAY, or the
// alert of TLS with which it refuses our certificate. A client of ours reads on for
// that until there is no more, but not for longer than a farewell. mu is held.
func (c *Conn) hearOut() {
	if !c.cfg.Client || errors.Is(c.writeErr, os.ErrDeadlineExceeded) {
		c.breakOff(c.writeErr) // who has gone says nothing for us; who takes nothing is there
		return
	}
	if c.broken == nil {
		c.hearBy = time.Now().Add(farewell)
		c.poke()
	}
}

// armWrite bounds the next write. A TLS write cannot be resumed after a timeout,
// so the deadline must not come early; it is moved once in WriteTimeout. mu is
// held.
func (c *Conn) armWrite() {
	if c.ended {
		return // The time for last words is set.
	}
	if now := time.Now(); c.writeBy.Sub(now) < c.cfg.WriteTimeout {
		c.writeBy = now.Add(2 * c.cfg.WriteTimeout)
		c.rw.SetWriteDeadline(c.writeBy)
	}
}

// roomy reports whether more may be queued. mu is held.
func (c *Conn) roomy() bool { return c.out == nil || len(c.out.b) <= mostQueued }

// passOn lets the stream write that has waited longest for the connection's
// window. mu is held.
func (c *Conn) passOn() {
	if len(c.starved) > 0 && c.sendLeft > 0 {
		c.starved[0].writable.ring()
	}
}

// awaitRoom waits until more may be queued, or until it is known why nothing may
// be any more. mu is held, but not meanwhile.
func (s *Stream) awaitRoom(w *wait) error {
	c := s.c
	for !c.roomy() && s.writeFault() == nil {
		if c.flushFor(0); c.roomy() {
			break
		}
		c.passOn()
		if !s.crowd(w) {
			return os.ErrDeadlineExceeded
		}
	}
	for c.writeErr != nil && s.writeFault() == nil { // see hearOut
		if !s.crowd(w) {
			return os.ErrDeadlineExceeded
		}
	}
	return s.writeFault()
}

// crowd waits for ringCrowded, or for the bell of s itself; false: for too long. mu
// is held, but not meanwhile.
func (s *Stream) crowd(w *wait) bool {
	c := s.c
	c.crowded = append(c.crowded, s)
	defer func() { c.crowded = without(c.crowded, s) }()
	return s.writable.wait(&c.mu, w)
}

// ringCrowded has whoever waits in awaitRoom look again. mu is held.
func (c *Conn) ringCrowded() {
	for _, s := range c.crowded {
		s.writable.ring()
	}
	c.crowded = c.crowded[:0]
}

// without removes s, if it is there.
func without(list []*Stream, s *Stream) []*Stream {
	if i := slices.Index(list, s); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	return list
}
