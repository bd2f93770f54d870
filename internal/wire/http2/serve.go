package http2

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/net/http2"
)

// Serve reads and handles frames on the caller's goroutine. In a server, open is
// called on this goroutine for every new request, and must not block.
//
// It returns ErrSilent when no stream is open, no frame is half read and nothing
// came for silence (0: for ever), sometimes for twice as long; the caller may
// call it again, or Rest first. Any other error is final, and all streams have
// failed: io.EOF when the connection has ended in order, because the peer closed
// it between frames or because the last stream has ended after GoAway or after
// a server's GOAWAY; a *ConnError when the peer broke the protocol or a limit,
// which it was told as far as it listens, or when it said that we did; else an
// error of the socket. rw is still open then, unless Abort was called.
func (c *Conn) Serve(silence time.Duration, open func(*Stream)) error {
	c.open, c.silence = open, silence
	if c.in == nil {
		c.in = takeInput(false)
	}
	c.now = time.Now()
	if c.idle.since.IsZero() {
		c.idle.since, c.resets.since = c.now, c.now
	}
	for {
		if e := c.handle(); e != nil {
			return c.finish(e)
		}
		c.callGone()
		if err := c.fill(); err == ErrSilent {
			return err
		} else if err != nil {
			return c.finish(err)
		}
	}
}

// Rest gives up all buffers until the next Serve. It may be called after
// ErrSilent only.
func (c *Conn) Rest() {
	c.in.give()
	c.in = nil
	c.open = nil
	c.mu.Lock()
	c.streams, c.crowded, c.starved, c.gone = nil, nil, nil, nil
	c.mu.Unlock()
}

// fill reads at least one octet, or returns why it cannot.
func (c *Conn) fill() error {
	c.room()
	half := c.w > c.r || c.block.open
	if half && c.begun.IsZero() {
		c.begun = c.now
	}
	for early := 0; ; {
		if err := c.prepare(half); err != nil {
			return err
		}
		n, err := c.rw.Read(c.in.b[c.w:])
		if n > 0 {
			c.w += n
			c.now = time.Now()
			return nil
		}
		switch {
		case err == nil: // a TLS record without data
		case errors.Is(err, os.ErrDeadlineExceeded) && early < mostEarly:
			before, silent := c.expired(half)
			if silent != nil {
				return silent
			}
			if before {
				early++
			}
		case err == io.EOF && half:
			return io.ErrUnexpectedEOF
		default:
			return err
		}
	}
}

// room makes space for a whole frame, if its length is known, and for more than
// nothing otherwise.
func (c *Conn) room() {
	n := c.w - c.r
	if n == 0 {
		c.r, c.w = 0, 0
		return
	}
	need := frameHeader
	if b := c.in.b[c.r:]; n >= frameHeader && c.prefaced {
		need += int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	} else if !c.prefaced {
		need = len(preface)
	}
	if c.r+need <= len(c.in.b) && c.w < len(c.in.b) {
		return
	}
	if need > len(c.in.b) {
		grown := takeInput(true)
		copy(grown.b, c.in.b[c.r:c.w])
		c.in.give()
		c.in = grown
	} else {
		copy(c.in.b, c.in.b[c.r:c.w])
	}
	c.r, c.w = 0, n
}

// prepare is what has to be done before the reader waits: it has the frames
// written that it owes, looks whether the connection is to end, and bounds the
// wait.
func (c *Conn) prepare(half bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.broken
	}
	if err := c.depart(); err != nil {
		return err
	}
	if e := c.overdue(); e != nil {
		return e
	}
	if c.owed > 0 {
		c.flushOwed()
	}
	if len(c.streams)+c.reserved == 0 {
		c.napping = false
	}
	var until time.Time
	switch {
	case half:
		until = c.begun.Add(c.cfg.HeadTimeout)
	case c.silence > 0 && !c.napping:
		until = c.now.Add(c.silence)
	}
	if c.leaving == warned && (until.IsZero() || until.After(c.leaveBy)) {
		until = c.leaveBy
	}
	if !c.hearBy.IsZero() && (until.IsZero() || until.After(c.hearBy)) {
		until = c.hearBy
	}
	c.arm(until)
	return nil
}

// arm sets the read deadline, unless the one that is set is good enough: not
// later than the wait may last, not sooner than half of it. mu is held.
func (c *Conn) arm(until time.Time) {
	if until.IsZero() {
		if !c.armed.IsZero() {
			c.armed = until
			c.rw.SetReadDeadline(until)
		}
		return
	}
	if !c.armed.IsZero() && !c.armed.After(until) && c.armed.Sub(c.now) >= until.Sub(c.now)/2 {
		return
	}
	c.armed = until
	c.rw.SetReadDeadline(until)
}

// mostEarly is how often a Read may time out before its time. A tls.Conn whose
// handshake has timed out does so for ever.
const mostEarly = 10

// expired is asked when the read deadline has come, or a Read says so early. It
// returns nil if the wait goes on.
func (c *Conn) expired(half bool) (early bool, err error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	poked := c.armed.Equal(thePast)
	early = c.armed.IsZero() || now.Before(c.armed)
	c.armed = thePast // It has to be set anew.
	switch {
	case !c.hearBy.IsZero():
		if !now.Before(c.hearBy) {
			return early, c.writeErr
		}
	case half:
		if now.Sub(c.begun) >= c.cfg.HeadTimeout {
			return early, fault(http2.ErrCodeEnhanceYourCalm,
				"a frame or field section has begun, and has not come to its end within "+c.cfg.HeadTimeout.String())
		}
	case poked, c.silence <= 0:
	case len(c.streams)+c.reserved > 0:
		// The streams have clocks of their own. Until the last one is closed the
		// reader has nothing to wake for, and no use for a large buffer.
		c.napping = true
		c.shrink()
	case c.stirred:
		c.stirred = false
		c.now = now
	case now.Sub(c.now) < c.silence || c.leaving != staying:
		// The deadline came early, or for another reason.
	case c.out != nil || c.flushing:
		c.now = now
	default:
		return early, ErrSilent
	}
	return early, nil
}

// thePast is a deadline that has come.
var thePast = time.Unix(1, 0)

// shrink gives up a large input buffer that is empty.
func (c *Conn) shrink() {
	if len(c.in.b) != smallInput && c.r == c.w {
		c.in.give()
		c.in = takeInput(false)
		c.r, c.w = 0, 0
	}
}

// lastClosed is called when no stream is open any more. mu is held.
func (c *Conn) lastClosed() {
	c.stirred = true
	switch {
	case c.leaving != staying || c.peerLeft != nil && c.cfg.Client:
		c.poke()
	case c.napping && c.armed.IsZero(): // else the reader has been poked
		c.napping = false
		c.armed = time.Now().Add(c.silence)
		c.rw.SetReadDeadline(c.armed)
	}
}

// depart goes through the steps of a graceful end, and returns io.EOF after the
// last. mu is held.
func (c *Conn) depart() error {
	open := len(c.streams) + c.reserved
	switch c.leaving {
	case asked, askedIdle:
		if c.cfg.Client || open == 0 && c.leaving == askedIdle {
			c.sayGoAway(c.lastPeer, http2.ErrCodeNo, "")
			c.leaving = departed
			break
		}
		// RFC 9113 section 6.8: what the client has sent before it knows is served.
		c.sayGoAway(maxID, http2.ErrCodeNo, "")
		c.put(append(appendHeader(c.buf(), 8, http2.FramePing, 0, 0), goAwayPing...))
		c.leaving, c.leaveBy = warned, time.Now().Add(time.Second)
	case warned:
		if c.acked || !time.Now().Before(c.leaveBy) {
			c.sayGoAway(c.lastPeer, http2.ErrCodeNo, "")
			c.leaving = departed
		}
	}
	switch {
	case open > 0 || c.leaving != departed && (c.peerLeft == nil || !c.cfg.Client):
		return nil // A client's GOAWAY forbids us to push, no more; it will close.
	case c.peerLeft != nil && c.peerLeft.Code != http2.ErrCodeNo:
		return c.peerLeft
	}
	return io.EOF
}

// sayGoAway queues GOAWAY. mu is held.
func (c *Conn) sayGoAway(last uint32, code http2.ErrCode, reason string) {
	b := appendHeader(c.buf(), 8+len(reason), http2.FrameGoAway, 0, 0)
	b = append(b, byte(last>>24), byte(last>>16), byte(last>>8), byte(last),
		byte(code>>24), byte(code>>16), byte(code>>8), byte(code))
	c.put(append(b, reason...))
	c.owed++
}

// finish ends the connection: the streams fail, the peer is told why as far as
// it listens, and who writes is waited for.
func (c *Conn) finish(err error) error {
	c.mu.Lock()
	fault, faulty := err.(*ConnError)
	switch {
	case c.broken != nil:
		err = c.broken // The first reason counts.
	case !faulty && c.peerLeft != nil && c.peerLeft.Code != http2.ErrCodeNo:
		err = c.peerLeft
	case c.writeErr != nil && (err == io.EOF || err == io.ErrUnexpectedEOF):
		err = c.writeErr // which says more
	}
	c.broken = err
	c.ended = true
	c.writeBy = time.Now().Add(farewell)
	c.rw.SetWriteDeadline(c.writeBy)
	if c.cfg.Client && len(c.streams) > 0 && c.out != nil {
		// What is not sent yet has surely not been seen, and must not be any more.
		c.out.give()
		c.out = nil
	}
	if faulty && !fault.Remote {
		c.sayGoAway(c.lastPeer, fault.Code, fault.Reason)
	}
	for _, s := range c.streams {
		c.lose(s, c.lostOne(s))
	}
	c.ringCrowded() // who has no stream yet among them
	c.mu.Unlock()
	c.callGone()
	c.mu.Lock()
	c.flush()
	c.mu.Unlock()
	c.flushers.Wait()
	c.in.give()
	c.in = nil
	c.block.dropRest()
	return err
}

// lostOne is what a stream fails with when the connection has ended. mu is held.
func (c *Conn) lostOne(s *Stream) error {
	unseen := s.id == 0 || s.headAt >= c.attempted
	return &lostError{cause: c.broken, unseen: c.cfg.Client && unseen}
}
