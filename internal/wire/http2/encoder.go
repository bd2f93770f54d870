package http2

import (
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/wire/http1"
)

// A Head is what WriteHead sends. Encode is called while the connection is
// locked: it must not block, nor use the stream.
type Head interface{ Encode(e *Encoder) }

// An Encoder takes the fields of one section, those with a colon first.
//
// Nothing is put into the peer's HPACK table: what is sent for a client would be
// compressed together with what is sent for another (RFC 7541 section 7.1), and
// it costs memory on both sides. So hpack.Encoder, whose table is empty, keeps
// nothing of what it is given.
type Encoder struct {
	fields  *hpack.Encoder
	out     []byte // what is queued, the section behind it
	scratch []byte
	method  []byte // of a request
	status  int    // of a response
}

var encoders sync.Pool

func takeEncoder() *Encoder {
	if e, ok := encoders.Get().(*Encoder); ok {
		return e
	}
	e := new(Encoder)
	e.fields = hpack.NewEncoder(e)
	e.fields.SetMaxDynamicTableSize(0)
	// It says so once, in what it encodes next; encode says it to each peer.
	e.fields.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	return e
}

// Write takes what hpack.Encoder has encoded.
func (e *Encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// Status is the pseudo-field of a response.
func (e *Encoder) Status(code int) {
	e.status = code
	e.scratch = strconv.AppendInt(e.scratch[:0], int64(code), 10)
	e.add(":status", e.scratch, false)
}

// Request has the pseudo-fields of a request, path with its query. What is nil
// is left out: protocol but for an extended CONNECT, scheme and path of a plain
// one (RFC 9113 section 8.5, RFC 8441 section 4).
func (e *Encoder) Request(method, scheme, authority, path, protocol []byte) {
	e.method = append(e.method[:0], method...)
	e.add(":method", method, false)
	if scheme != nil {
		e.add(":scheme", scheme, false)
	}
	if authority != nil {
		e.add(":authority", authority, false)
	}
	if path != nil {
		e.add(":path", path, false)
	}
	if protocol != nil {
		e.add(":protocol", protocol, false)
	}
}

// Field is one field. name may be in any case and is sent in lower case. What
// carries secrets is marked so that nobody on the way puts it into a table (RFC
// 7541 section 7.1.3).
func (e *Encoder) Field(name, value []byte) {
	for i, c := range name {
		if c-'A' < 26 {
			e.scratch = append(e.scratch[:0], name...)
			for j := i; j < len(name); j++ {
				if c := name[j]; c-'A' < 26 {
					e.scratch[j] = c + 'a' - 'A'
				}
			}
			name = e.scratch
			break
		}
	}
	secret := false
	switch http1.KindOf(name) {
	case http1.Authorization, http1.Cookie, http1.ProxyAuthorization, http1.SetCookie:
		secret = true
	}
	e.add(text(name), value, secret)
}

func (e *Encoder) add(name string, value []byte, secret bool) {
	e.fields.WriteField(hpack.HeaderField{Name: name, Value: text(value), Sensitive: secret})
}

// text makes b a string without a copy. That is sound as long as nobody keeps it
// beyond the time in which b stays as it is: hpack.Encoder compares and copies
// it, and keeps only what it adds to its table, which holds nothing.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// encode queues the field section h in HEADERS and CONTINUATION frames (RFC 9113
// section 6.2). mu is held.
func (c *Conn) encode(s *Stream, h Head, end bool) {
	e := takeEncoder()
	b := c.buf()
	start := len(b)
	var flags http2.Flags
	if end {
		flags = http2.FlagHeadersEndStream
	}
	e.out = appendHeader(b, 0, http2.FrameHeaders, flags, s.id)
	if !c.tableSaid {
		// RFC 7541 section 4.2: a change of the table's size is said at the start.
		c.tableSaid = true
		e.out = append(e.out, 0x20)
	}
	e.method, e.status = e.method[:0], 0
	h.Encode(e)
	if e.status >= 200 {
		s.answered = true
	}
	if len(e.method) > 0 {
		s.method = append(s.method[:0], e.method...)
	}
	b = frameSection(e.out, start, s.id)
	s.sent += int64(len(b) - start)
	c.put(b)
	e.out = nil
	encoders.Put(e)
}

// frameSection completes the HEADERS frame that starts at start and holds a
// whole field section; what does not fit into it goes into CONTINUATION frames.
func frameSection(b []byte, start int, id uint32) []byte {
	left := len(b) - start - frameHeader
	more := max(0, (left-1)/maxFrame)
	// The last piece moves furthest, and first.
	b = append(b, make([]byte, more*frameHeader)...)
	for i := more; i > 0; i-- {
		from := start + frameHeader + i*maxFrame
		n := min(maxFrame, left-i*maxFrame)
		to := from + i*frameHeader
		copy(b[to:], b[from:from+n])
		var flags http2.Flags
		if i == more {
			flags = http2.FlagContinuationEndHeaders
		}
		appendHeader(b[to-frameHeader:to-frameHeader], n, http2.FrameContinuation, flags, id)
	}
	n := min(left, maxFrame)
	b[start], b[start+1], b[start+2] = byte(n>>16), byte(n>>8), byte(n)
	if more == 0 {
		b[start+4] |= byte(http2.FlagHeadersEndHeaders)
	}
	return b
}
