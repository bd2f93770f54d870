package http2

import (
	"encoding/binary"
	"errors"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/wire/http2/fieldsection"
)

// A block is a field section as it comes, in HEADERS and CONTINUATION frames (RFC
// 9113 section 4.3).
type block struct {
	open   bool // CONTINUATION follows
	id     uint32
	ended  bool // END_STREAM
	itself bool // the stream is said to depend on itself
	frames int
	wire   int     // octets, frame headers included
	rest   *output // what has come, if it was not all in one frame
}

// mostContinued bounds the CONTINUATION frames of one field section
// (CVE-2024-27316).
const mostContinued = 128

// mostBlock bounds the octets of one field section. What is too large for
// Limits.Head is read to its end, for the sake of the HPACK state, and answered
// with 431; but not whatever comes.
func (c *Conn) mostBlock() int { return 4*c.cfg.Limits.Head + maxFrame }

// takeHeaders takes the start of a field section (RFC 9113 section 6.2).
func (c *Conn) takeHeaders(flags http2.Flags, id uint32, p []byte) *ConnError {
	if id == 0 {
		return fault(http2.ErrCodeProtocol, "HEADERS on no stream (RFC 9113 section 6.2)")
	}
	b := block{id: id, ended: flags.Has(http2.FlagHeadersEndStream), wire: frameHeader + len(p), rest: c.block.rest}
	padding := 0
	if flags.Has(http2.FlagHeadersPadded) {
		if len(p) == 0 {
			return fault(http2.ErrCodeFrameSize, "HEADERS without the length of their padding (RFC 9113 section 6.2)")
		}
		padding, p = int(p[0]), p[1:]
	}
	if flags.Has(http2.FlagHeadersPriority) {
		if len(p) < 5 {
			return fault(http2.ErrCodeFrameSize, "HEADERS with half a priority (RFC 9113 section 6.2)")
		}
		b.itself = binary.BigEndian.Uint32(p)&maxID == id
		p = p[5:]
	}
	if padding > len(p) {
		return fault(http2.ErrCodeProtocol, "more padding than HEADERS (RFC 9113 section 6.2)")
	}
	p = p[:len(p)-padding]
	c.block = b
	if flags.Has(http2.FlagHeadersEndHeaders) {
		return c.takeBlock(p)
	}
	c.block.open = true
	c.block.rest = takeOutput()
	c.block.rest.b = append(c.block.rest.b, p...)
	return nil
}

// takeContinuation takes more of a field section (RFC 9113 section 6.10).
func (c *Conn) takeContinuation(flags http2.Flags, p []byte) *ConnError {
	b := &c.block
	b.frames++
	b.wire += frameHeader + len(p)
	if b.frames > mostContinued || len(b.rest.b)+len(p) > c.mostBlock() {
		return fault(http2.ErrCodeEnhanceYourCalm, "a field section goes on and on (CVE-2024-27316)")
	}
	b.rest.b = append(b.rest.b, p...)
	if !flags.Has(http2.FlagContinuationEndHeaders) {
		return nil
	}
	b.open = false
	e := c.takeBlock(b.rest.b)
	b.dropRest()
	return e
}

func (b *block) dropRest() {
	if b.rest != nil {
		b.rest.give()
		b.rest = nil
	}
}

// takeBlock takes a field section that is complete.
func (c *Conn) takeBlock(p []byte) *ConnError {
	c.mu.Lock()
	s := c.find(c.block.id)
	use, e := c.classify(s)
	c.mu.Unlock()
	if e != nil {
		return e
	}
	if use == toDrop || use == toRefuse {
		if e := c.decode(nil, p); e != nil {
			return e
		}
		if use == toRefuse {
			return c.refuse()
		}
		return c.drop()
	}
	sec := fieldsection.Take(c.kind(use), &c.cfg.Limits)
	if e := c.decode(sec, p); e != nil {
		sec.Give()
		return e
	}
	switch use {
	case toOpen:
		return c.takeRequest(sec)
	case toAnswer:
		return c.takeResponse(c.block.id, sec)
	}
	return c.takeTrailers(c.block.id, sec)
}

// A use is what a field section is good for.
type use uint8

const (
	toDrop   use = iota // of a stream that we have reset
	toRefuse            // a request too many
	toOpen              // a request
	toAnswer            // a response, interim or final
	toTrail             // trailers
)

// kind is how the section is to be judged.
func (c *Conn) kind(u use) fieldsection.Kind {
	switch {
	case u == toTrail:
		return fieldsection.Trailers
	case u == toAnswer:
		return fieldsection.Response
	case c.cfg.Connect:
		return fieldsection.Extended
	}
	return fieldsection.Request
}

// classify finds out what the field section is that arrives (RFC 9113 section
// 5.1). mu is held.
func (c *Conn) classify(s *Stream) (use, *ConnError) {
	id := c.block.id
	switch {
	case s != nil && s.localReset:
		return toDrop, nil
	case s != nil && s.remoteReset:
		return 0, fault(http2.ErrCodeStreamClosed, "HEADERS behind RST_STREAM (RFC 9113 section 5.1)")
	case s != nil && s.remoteEnded:
		return 0, fault(http2.ErrCodeStreamClosed, "HEADERS behind the end of the stream (RFC 9113 section 5.1)")
	case s != nil && c.cfg.Client && !s.answered:
		return toAnswer, nil
	case s != nil:
		return toTrail, nil
	case c.beyond(id) || c.lost.has(id) && !c.opens(id):
		return toDrop, nil
	case c.cfg.Client && c.opens(id):
		return 0, fault(http2.ErrCodeProtocol, "HEADERS on a stream that we have not opened (RFC 9113 section 5.1.1)")
	case c.cfg.Client:
		return 0, fault(http2.ErrCodeStreamClosed, "HEADERS on a closed stream (RFC 9113 section 5.1)")
	case id&1 == 0:
		return 0, fault(http2.ErrCodeProtocol, "a request on a stream with an even number (RFC 9113 section 5.1.1)")
	case id <= c.lastPeer && c.opened < (c.lastPeer+1)/2:
		// Some numbers were left out. We have not kept which.
		return 0, fault(http2.ErrCodeProtocol, "a request whose stream has a lower number than one before (RFC 9113 section 5.1.1)")
	case id <= c.lastPeer:
		return 0, fault(http2.ErrCodeStreamClosed, "HEADERS on a closed stream (RFC 9113 section 5.1)")
	}
	c.lastPeer = id
	c.opened++
	if len(c.streams) >= int(c.cfg.Streams) {
		return toRefuse, nil
	}
	return toOpen, nil
}

// drop counts a field section that is good for nothing. Those of a server do not
// count: it may have answered many requests that were taken back.
func (c *Conn) drop() *ConnError {
	if c.cfg.Client {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.charge(&c.idle, 1)
}

// refuse turns down a request that is one too many (RFC 9113 section 5.1.2).
func (c *Conn) refuse() *ConnError {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.block.ended {
		c.lost.add(c.block.id)
	}
	if e := c.owe(appendWord(c.buf(), http2.FrameRSTStream, c.block.id, uint32(http2.ErrCodeRefusedStream))); e != nil {
		return e
	}
	return c.charge(&c.resets, 1)
}

// tableSize is the HPACK table that the peer may fill (RFC 9113 section 6.5.2).
const tableSize = 4096

// decode decodes a field section into sec, or merely for the state's sake.
func (c *Conn) decode(sec *fieldsection.Section, p []byte) *ConnError {
	if c.decoder == nil {
		c.decoder = hpack.NewDecoder(tableSize, c.emit)
		c.decoder.SetMaxStringLength(max(c.cfg.Limits.Head, tableSize))
	}
	c.section = sec
	c.decoder.SetEmitEnabled(sec != nil)
	_, err := c.decoder.Write(p)
	c.section = nil
	if err == nil {
		err = c.decoder.Close()
	}
	switch {
	case errors.Is(err, hpack.ErrStringLength):
		return fault(http2.ErrCodeEnhanceYourCalm, "a field is longer than a whole head may be")
	case err != nil:
		return fault(http2.ErrCodeCompression, err.Error())
	}
	return nil
}

// emit takes one field that was decoded. Beyond the limit there is no use in
// having more of them (an HPACK bomb is a few octets that become many).
func (c *Conn) emit(f hpack.HeaderField) {
	if !c.section.Add(f.Name, f.Value) {
		c.decoder.SetEmitEnabled(false)
	}
}
