package http2

import (
	"encoding/binary"
	"time"

	"golang.org/x/net/http2"
)

// handle takes all frames that are whole in the input.
func (c *Conn) handle() *ConnError {
	for {
		b := c.in.b[c.r:c.w]
		if !c.prefaced {
			n := min(len(b), len(preface))
			if string(b[:n]) != preface[:n] {
				return fault(http2.ErrCodeProtocol, "the connection does not start with the HTTP/2 preface (RFC 9113 section 3.4)")
			}
			if n < len(preface) {
				return nil
			}
			c.prefaced = true
			c.r += n
			continue
		}
		if len(b) < frameHeader {
			return nil
		}
		n := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if n > maxFrame {
			return fault(http2.ErrCodeFrameSize, "a frame longer than SETTINGS_MAX_FRAME_SIZE (RFC 9113 section 4.2)")
		}
		if len(b) < frameHeader+n {
			return nil
		}
		id := binary.BigEndian.Uint32(b[5:]) & maxID
		if e := c.frame(http2.FrameType(b[3]), http2.Flags(b[4]), id, b[frameHeader:frameHeader+n]); e != nil {
			return e
		}
		c.r += frameHeader + n
		if !c.block.open {
			c.begun = time.Time{}
		}
	}
}

// frame takes one frame.
func (c *Conn) frame(t http2.FrameType, flags http2.Flags, id uint32, p []byte) *ConnError {
	if c.block.open != (t == http2.FrameContinuation) || c.block.open && id != c.block.id {
		return fault(http2.ErrCodeProtocol, "a field section is interrupted, or continued without a start (RFC 9113 section 6.10)")
	}
	if !c.settled {
		if t != http2.FrameSettings || flags.Has(http2.FlagSettingsAck) {
			return fault(http2.ErrCodeProtocol, "the first frame is not SETTINGS (RFC 9113 section 3.4)")
		}
		c.settled = true
	}
	switch t {
	case http2.FrameData:
		return c.takeData(flags, id, p)
	case http2.FrameHeaders:
		return c.takeHeaders(flags, id, p)
	case http2.FrameContinuation:
		return c.takeContinuation(flags, p)
	case http2.FrameSettings:
		return c.takeSettings(flags, id, p)
	case http2.FrameWindowUpdate:
		return c.takeWindowUpdate(id, p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch t {
	case http2.FrameRSTStream:
		return c.takeReset(id, p)
	case http2.FramePing:
		return c.takePing(flags, id, p)
	case http2.FramePriority:
		return c.takePriority(id, p)
	case http2.FrameGoAway:
		return c.takeGoAway(id, p)
	case http2.FramePushPromise:
		// A client's peer was told not to, a server's may not (RFC 9113 section 8.4).
		return fault(http2.ErrCodeProtocol, "PUSH_PROMISE, though push is disabled (RFC 9113 section 6.6)")
	}
	return c.charge(&c.idle, 1) // Section 5.5: frames of unknown types are ignored.
}

// takeReset ends a stream as the peer wants it (RFC 9113 section 6.4). mu is
// held.
func (c *Conn) takeReset(id uint32, p []byte) *ConnError {
	if len(p) != 4 {
		return fault(http2.ErrCodeFrameSize, "a RST_STREAM that is not 4 octets long (RFC 9113 section 6.4)")
	}
	s := c.find(id)
	switch {
	case s == nil && c.opens(id) && !c.beyond(id):
		return fault(http2.ErrCodeProtocol, "RST_STREAM on an idle stream (RFC 9113 section 6.4)")
	case s == nil || s.remoteReset:
		return c.charge(&c.idle, 1)
	}
	s.received += frameHeader + 4
	s.remoteReset = true
	code := http2.ErrCode(binary.BigEndian.Uint32(p))
	err := &StreamError{Code: code, Remote: true}
	if c.cfg.Client && s.remoteEnded && code == http2.ErrCodeNo {
		// Section 8.1: the response is complete; the server has no use for the rest
		// of the request.
		if s.err == nil {
			s.err = err
		}
		s.writable.ring()
		return nil
	}
	c.lose(s, err)
	if !c.cfg.Client && !s.answered {
		return c.charge(&c.resets, 1)
	}
	return nil
}

// lose fails a stream for good, and notes that its owner is to be told. mu is
// held; only the reader calls it.
func (c *Conn) lose(s *Stream, err error) {
	if s.err == nil {
		s.err = err
	}
	s.readable.ring()
	s.writable.ring()
	if s.onGone != nil && !s.calling {
		s.calling = true
		c.gone = append(c.gone, s)
	}
}

// fail resets a stream whose peer broke a rule (RFC 9113 section 5.4.2). mu is
// held; only the reader calls it.
func (c *Conn) fail(s *Stream, code http2.ErrCode, reason string) *ConnError {
	err := &StreamError{Code: code, Reason: reason}
	s.remoteEnded = false // What has arrived is not what was meant.
	s.reset(err)
	c.lose(s, err)
	return c.charge(&c.resets, 1)
}

// callGone tells the owners of lost streams. mu is not held.
func (c *Conn) callGone() {
	for i, s := range c.gone {
		c.mu.Lock()
		f := s.onGone
		s.onGone = nil
		c.mu.Unlock()
		if f != nil {
			f()
		}
		c.mu.Lock()
		s.calling = false
		s.readable.ring()
		c.mu.Unlock()
		c.gone[i] = nil
	}
	c.gone = c.gone[:0]
}

// takePing answers (RFC 9113 section 6.7). mu is held.
func (c *Conn) takePing(flags http2.Flags, id uint32, p []byte) *ConnError {
	switch {
	case id != 0:
		return fault(http2.ErrCodeProtocol, "PING on a stream (RFC 9113 section 6.7)")
	case len(p) != 8:
		return fault(http2.ErrCodeFrameSize, "a PING that is not 8 octets long (RFC 9113 section 6.7)")
	}
	if e := c.charge(&c.idle, 1); e != nil {
		return e
	}
	if flags.Has(http2.FlagPingAck) {
		c.acked = c.acked || string(p) == goAwayPing
		return nil
	}
	return c.owe(append(appendHeader(c.buf(), 8, http2.FramePing, http2.FlagPingAck, 0), p...))
}

// takePriority looks at the form of a PRIORITY; priorities are not used (RFC 9113
// section 5.3.2). mu is held.
func (c *Conn) takePriority(id uint32, p []byte) *ConnError {
	if id == 0 {
		return fault(http2.ErrCodeProtocol, "PRIORITY on no stream (RFC 9113 section 6.3)")
	}
	if len(p) == 5 && binary.BigEndian.Uint32(p)&maxID != id {
		return c.charge(&c.idle, 1)
	}
	code, reason := http2.ErrCodeProtocol, "a stream that depends on itself (RFC 7540 section 5.3.1)"
	if len(p) != 5 {
		code, reason = http2.ErrCodeFrameSize, "a PRIORITY that is not 5 octets long (RFC 9113 section 6.3)"
	}
	if s := c.find(id); s != nil {
		return c.fail(s, code, reason)
	}
	return fault(code, reason)
}

// takeGoAway learns which requests the peer will answer (RFC 9113 section 6.8).
// mu is held.
func (c *Conn) takeGoAway(id uint32, p []byte) *ConnError {
	switch {
	case id != 0:
		return fault(http2.ErrCodeProtocol, "GOAWAY on a stream (RFC 9113 section 6.8)")
	case len(p) < 8:
		return fault(http2.ErrCodeFrameSize, "a GOAWAY of less than 8 octets (RFC 9113 section 6.8)")
	}
	if e := c.charge(&c.idle, 1); e != nil {
		return e
	}
	const mostText = 200
	text := p[8:min(len(p), 8+mostText)]
	c.peerLeft = &ConnError{Code: http2.ErrCode(binary.BigEndian.Uint32(p[4:])), Remote: true, Reason: string(text)}
	if last := binary.BigEndian.Uint32(p) & maxID; c.cfg.Client {
		for _, s := range c.streams {
			if s.id > last && s.err == nil {
				s.remoteReset = true
				c.lose(s, &lostError{cause: c.peerLeft, unseen: true})
			}
		}
	}
	return nil
}

// goAwayPing is the PING that goes with GOAWAY. Once it is acknowledged, all
// streams that were under way when the peer read the GOAWAY have arrived.
const goAwayPing = "going\x00\x00\x01"

// A resetRing remembers streams that we have reset while the peer had not ended
// them: what it had sent before it knew is dropped (RFC 9113 section 5.1).
type resetRing struct {
	ids  []uint32
	next int
	old  uint32 // the highest that was forgotten
}

const mostResets = 64

func (r *resetRing) add(id uint32) {
	if len(r.ids) < mostResets {
		r.ids = append(r.ids, id)
		return
	}
	r.old = max(r.old, r.ids[r.next])
	r.ids[r.next] = id
	r.next = (r.next + 1) % mostResets
}

func (r *resetRing) has(id uint32) bool {
	if id <= r.old {
		return true
	}
	for _, v := range r.ids {
		if v == id {
			return true
		}
	}
	return false
}

// takeLate judges what comes on a stream that is closed. mu is held.
func (c *Conn) takeLate(s *Stream, id uint32) *ConnError {
	switch {
	case s != nil || c.beyond(id) || c.lost.has(id):
		return nil
	case c.opens(id):
		return fault(http2.ErrCodeProtocol, "DATA on an idle stream (RFC 9113 section 5.1)")
	}
	return fault(http2.ErrCodeStreamClosed, "DATA on a closed stream (RFC 9113 section 5.1)")
}
