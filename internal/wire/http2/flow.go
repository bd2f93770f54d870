package http2

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

const (
	firstWindow = 1<<16 - 1 // of a connection, and of streams before SETTINGS (RFC 9113 section 6.9.2)
	maxWindow   = 1<<31 - 1
)

// taken grants the peer anew what the stream's owner has read, once that is
// half a window. mu is held, but not while it writes.
func (s *Stream) taken(n int) {
	c := s.c
	s.credit += int64(n)
	due := c.grant(int64(n))
	if s.grant() || due {
		c.flush()
	}
}

// grant queues the stream's WINDOW_UPDATE if it is due. mu is held.
func (s *Stream) grant() (due bool) {
	c := s.c
	if s.credit < int64(c.cfg.Window)/2 || s.remoteEnded || s.interrupted || s.over() || c.broken != nil {
		return false
	}
	c.put(appendWord(c.buf(), http2.FrameWindowUpdate, s.id, uint32(s.credit)))
	s.sent += frameHeader + 4
	s.recvLeft += s.credit
	s.credit = 0
	return true
}

// grant counts n octets as read, or dropped, and queues the connection's
// WINDOW_UPDATE if it is due: at half a window, or as soon as the peer has less
// left than that, because streams that nobody reads hold the rest. mu is held.
func (c *Conn) grant(n int64) (due bool) {
	if c.credit += n; c.credit < int64(c.cfg.ConnWindow)/2 && c.credit < c.recvLeft || c.credit == 0 || c.broken != nil {
		return false
	}
	c.put(appendWord(c.buf(), http2.FrameWindowUpdate, 0, uint32(c.credit)))
	c.recvLeft += c.credit
	c.credit = 0
	return true
}

// takeData takes a DATA frame (RFC 9113 section 6.1).
func (c *Conn) takeData(flags http2.Flags, id uint32, p []byte) *ConnError {
	if id == 0 {
		return fault(http2.ErrCodeProtocol, "DATA on no stream (RFC 9113 section 6.1)")
	}
	whole := int64(len(p)) // padding counts for flow control, too
	if flags.Has(http2.FlagDataPadded) {
		if len(p) == 0 || int(p[0]) >= len(p) {
			return fault(http2.ErrCodeProtocol, "more padding than DATA (RFC 9113 section 6.1)")
		}
		p = p[1 : len(p)-int(p[0])]
	}
	ended := flags.Has(http2.FlagDataEndStream)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 && !ended {
		if e := c.charge(&c.idle, 1); e != nil { // CVE-2019-9518
			return e
		}
	}
	if whole > c.recvLeft {
		return fault(http2.ErrCodeFlowControl, "DATA beyond the connection's window (RFC 9113 section 6.9.1)")
	}
	c.recvLeft -= whole
	c.flowed += int64(len(p))
	s := c.find(id)
	if s == nil || s.localReset {
		if c.grant(whole) {
			c.owed++
		}
		return c.takeLate(s, id)
	}
	s.received += frameHeader + whole
	e := c.takeContent(s, p, whole, ended)
	if s.grant() {
		c.owed++
	}
	return e
}

// takeContent takes the content of a DATA frame, of which whole octets count for
// flow control. mu is held.
func (c *Conn) takeContent(s *Stream, p []byte, whole int64, ended bool) *ConnError {
	kept := 0
	defer func() {
		s.credit += whole - int64(kept)
		if c.grant(whole - int64(kept)) {
			c.owed++
		}
	}()
	switch {
	case s.over():
		return fault(http2.ErrCodeStreamClosed, "DATA on a closed stream (RFC 9113 section 5.1)")
	case s.remoteEnded:
		return c.fail(s, http2.ErrCodeStreamClosed, "DATA behind the end of the stream (RFC 9113 section 5.1)")
	case whole > s.recvLeft:
		return c.fail(s, http2.ErrCodeFlowControl, "DATA beyond the stream's window (RFC 9113 section 6.9.1)")
	case c.cfg.Client && !s.answered:
		return c.fail(s, http2.ErrCodeProtocol, "DATA before the head of the response (RFC 9113 section 8.1)")
	}
	s.recvLeft -= whole
	s.body += int64(len(p))
	if s.length >= 0 && (s.body > s.length || ended && s.body < s.length) {
		return c.fail(s, http2.ErrCodeProtocol, "the content is not as long as Content-Length says (RFC 9113 section 8.1.1)")
	}
	if len(p) > 0 && !s.interrupted && s.failed() == nil {
		s.data.Push(p)
		kept = len(p)
	}
	s.remoteEnded = ended
	if kept > 0 || ended {
		s.readable.ring()
	}
	return nil
}

// takeWindowUpdate lets us send more (RFC 9113 section 6.9).
func (c *Conn) takeWindowUpdate(id uint32, p []byte) *ConnError {
	if len(p) != 4 {
		return fault(http2.ErrCodeFrameSize, "a WINDOW_UPDATE that is not 4 octets long (RFC 9113 section 6.9)")
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.charge(&c.idle, 1); e != nil {
		return e
	}
	if id == 0 {
		if n == 0 {
			return fault(http2.ErrCodeProtocol, "a WINDOW_UPDATE of 0 (RFC 9113 section 6.9)")
		}
		if c.sendLeft += n; c.sendLeft > maxWindow {
			return fault(http2.ErrCodeFlowControl, "the connection's window is larger than 2^31-1 (RFC 9113 section 6.9.1)")
		}
		c.passOn()
		return nil
	}
	s := c.find(id)
	switch {
	case s == nil && c.opens(id) && !c.beyond(id):
		return fault(http2.ErrCodeProtocol, "WINDOW_UPDATE on an idle stream (RFC 9113 section 5.1)")
	case s == nil || s.over():
		return nil // Section 5.1: it may have been under way.
	}
	s.received += frameHeader + 4
	if n == 0 {
		return c.fail(s, http2.ErrCodeProtocol, "a WINDOW_UPDATE of 0 (RFC 9113 section 6.9)")
	}
	if s.sendLeft += n; s.sendLeft > maxWindow {
		return c.fail(s, http2.ErrCodeFlowControl, "the stream's window is larger than 2^31-1 (RFC 9113 section 6.9.1)")
	}
	s.writable.ring()
	return nil
}
