package http1

import (
	"math"
	"strconv"
)

// What a chunked body ends with (RFC 9112 section 7.1).
const (
	ChunkEnd  = "\r\n"      // behind the data of each chunk
	LastChunk = "0\r\n\r\n" // the last chunk and an empty trailer section
	LastSize  = "0\r\n"     // the last chunk, before trailer fields and an empty line
)

// AppendChunkHeader appends the size line of a chunk of size octets. The data
// and ChunkEnd follow it. size is more than 0: a chunk of 0 ends the body.
func AppendChunkHeader(dst []byte, size int) []byte {
	return append(strconv.AppendUint(dst, uint64(size), 16), "\r\n"...)
}

const (
	// maxSizeLine bounds a chunk's size line with its extensions.
	maxSizeLine = 4 << 10
	// maxOverhead bounds what size lines may take beyond 16 octets a chunk and
	// the size of the data itself: chunks of one octet with long extensions
	// would make a small body cost a lot to read (CVE-2023-39326).
	maxOverhead = 16 << 10
)

type chunkState uint8

const (
	atSize    chunkState = iota // before or between the digits of a size
	atSpace                     // in white space before an extension
	atExt                       // in an extension
	atSizeLF                    // CR of a size line seen
	atData                      // in the data
	atDataCR                    // data complete
	atDataLF                    // its CR seen
	atTrailer                   // last chunk seen
	atFinalLF                   // CR of the empty line right behind it seen
	atFields                    // in the trailer fields
	atEnd                       // complete
)

// Chunks decodes a chunked body piece by piece (RFC 9112 section 7.1). The zero
// value is ready for one body; Reset makes it ready for another.
type Chunks struct {
	// Limits bounds the trailer section (Head), its lines (Field) and their number
	// (Count). Zero values mean the defaults.
	Limits Limits

	state    chunkState
	digits   int   // of the size line being read
	line     int   // octets of the size line being read
	overhead int   // octets of size lines not paid for by data
	left     int64 // octets of the chunk still to come
	err      *Error

	section []byte // the trailer section, copied
	scan    scanner
	fields  []Field
	dropped int
}

// Reset makes c ready for another body under the same Limits.
func (c *Chunks) Reset() {
	*c = Chunks{Limits: c.Limits, section: c.section[:0], fields: c.fields[:0]}
}

// Next consumes octets of in. data is the next run of content, a slice of in,
// empty if there is none in it; n says how many octets were consumed, framing
// included; done that the body is complete with its trailer section. Call again
// with in[n:] while neither done nor out of input: one call returns one run.
// Octets behind the body are not consumed.
//
// An error is an *Error with status 400 or 431; who reads a response answers
// 502. It comes alone, after the data before it, and again on each further call;
// what it is about is not consumed.
func (c *Chunks) Next(in []byte) (data []byte, n int, done bool, err error) {
	for c.err == nil && c.state != atEnd && n < len(in) {
		switch c.state {
		case atData:
			if data != nil {
				return data, n, false, nil
			}
			end := n + int(min(c.left, int64(len(in)-n)))
			data = in[n:end:end]
			n = end
			c.took(len(data))
		case atTrailer:
			if c.state = atFields; in[n] == '\r' {
				c.state = atFinalLF
				n++
			}
		case atFields:
			var k int
			k, c.err = c.trailer(in[n:])
			n += k
		default:
			if c.err = c.octet(in[n]); c.err == nil {
				n++
			}
		}
	}
	if c.err != nil && data == nil {
		return nil, n, false, c.err
	}
	return data, n, c.state == atEnd, nil
}

// took accounts for n octets of data.
func (c *Chunks) took(n int) {
	c.left -= int64(n)
	c.overhead = max(0, c.overhead-n)
	if c.left == 0 {
		c.state = atDataCR
	}
}

// octet takes one octet of the framing. It changes nothing when it returns an
// error.
func (c *Chunks) octet(b byte) *Error {
	switch c.state {
	case atSize, atSpace, atExt:
		return c.sizeLine(b)
	case atSizeLF:
		if b != '\n' {
			return badChunk("CR without LF at the end of a chunk size line")
		}
		c.overhead = max(0, c.overhead+c.line-16)
		c.digits, c.line = 0, 0
		if c.state = atData; c.left == 0 {
			c.state = atTrailer
		}
	case atDataCR, atDataLF:
		if b != ChunkEnd[c.state-atDataCR] {
			return badChunk("the octet 0x%02x behind the data of a chunk, expected CR LF", b)
		}
		if c.state++; c.state > atDataLF {
			c.state = atSize
		}
	case atFinalLF:
		if b != '\n' {
			return badChunk("CR without LF at the end of the body")
		}
		c.state = atEnd
	}
	return nil
}

// sizeLine takes one octet of 1*HEXDIG [ chunk-ext ] CR. Extensions are
// dropped, so their grammar is not looked at; what matters is that nobody sees
// the line end elsewhere than here.
func (c *Chunks) sizeLine(b byte) *Error {
	digit := hexValue[b]
	switch {
	case c.line == maxSizeLine:
		return badChunk("a chunk size line is longer than %d bytes", maxSizeLine)
	case c.overhead+c.line > maxOverhead:
		return badChunk("the chunks have more extensions than data")
	case c.state == atSize && digit < 16:
		if c.digits == 16 || c.left > math.MaxInt64>>4 {
			return badChunk("a chunk size is above 2^63-1 or has more than 16 digits")
		}
		c.left = c.left<<4 | int64(digit)
		c.digits++
	case c.digits == 0:
		return badChunk("the octet 0x%02x where a chunk size has to start", b)
	case b == '\r':
		if c.state == atSpace {
			return badChunk("white space behind a chunk size")
		}
		c.state = atSizeLF
	case c.state == atExt:
		if !inValue(b) {
			return badChunk("the octet 0x%02x in a chunk extension", b)
		}
	case b == ';':
		c.state = atExt
	case b == ' ' || b == '\t':
		c.state = atSpace
	default:
		return badChunk("the octet 0x%02x behind a chunk size", b)
	}
	c.line++
	return nil
}

func badChunk(format string, args ...any) *Error {
	return bad(BadTransferEncoding, "chunked body: "+format+" (RFC 9112 section 7.1)", args...)
}
