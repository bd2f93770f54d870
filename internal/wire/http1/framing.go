package http1

import (
	"math"
	"net/http"
)

// A BodyKind tells how the end of a message's content is found (RFC 9112
// section 6.3).
type BodyKind uint8

const (
	NoBody     BodyKind = iota // nothing follows the head
	Length                     // Content-Length octets follow
	Chunked                    // chunks follow, decoded by Chunks
	UntilClose                 // everything up to the end of the connection; responses only
)

// String returns the name of the constant.
func (k BodyKind) String() string {
	return [...]string{"NoBody", "Length", "Chunked", "UntilClose"}[k]
}

// maxOptions bounds the fields that Connection may name. Each field forwarded
// is compared with all of them.
const maxOptions = 32

// framing collects what requests and responses have in common: where the
// content ends, and what belongs to this connection only.
type framing struct {
	hasLength bool
	length    int64

	hasCoding bool

	close, keepAlive, upgrade bool
	options                   [][]byte // fields named by Connection that may be; reused

	upgrades int
	protocol []byte // of the last Upgrade field
}

func (m *framing) reset() { *m = framing{options: m.options[:0]} }

// see takes note of one field.
func (m *framing) see(f *Field) *Error {
	switch f.Kind {
	case ContentLength:
		return m.seeLength(f)
	case TransferEncoding:
		return m.seeCoding(f)
	case Connection:
		return m.seeConnection(f)
	case Upgrade:
		m.upgrades++
		m.protocol = f.Value
	}
	return nil
}

// seeLength reads Content-Length = 1*DIGIT (RFC 9110 section 8.6). Leading
// zeros are cut off the field's value, lest somebody behind us read octal.
func (m *framing) seeLength(f *Field) *Error {
	var n int64
	for _, c := range f.Value {
		if c -= '0'; c > 9 || n > (math.MaxInt64-int64(c))/10 {
			return bad(BadContentLength, "Content-Length is %s, expected decimal digits, at most 2^63-1 (RFC 9110 section 8.6)", quote(f.Value))
		}
		n = n*10 + int64(c)
	}
	switch {
	case len(f.Value) == 0:
		return bad(BadContentLength, "Content-Length is empty")
	case m.hasLength && n == m.length:
		return bad(DuplicateContentLength, "Content-Length %d is given twice", n)
	case m.hasLength:
		return bad(MultipleContentLength, "Content-Length is given as %d, then as %d (RFC 9112 section 6.3)", m.length, n)
	}
	for len(f.Value) > 1 && f.Value[0] == '0' {
		f.Value = f.Value[1:]
	}
	m.hasLength, m.length = true, n
	return nil
}

// seeCoding accepts "chunked" alone. Other transfer codings are none of a
// gateway's business; RFC 9112 section 6.1 has them answered with 501.
func (m *framing) seeCoding(f *Field) *Error {
	if m.hasCoding {
		return bad(MultipleTransferEncodingChunked, "Transfer-Encoding is given twice, the second time as %s", quote(f.Value))
	}
	m.hasCoding = true
	if FoldEqual(f.Value, "chunked") {
		return nil
	}
	chunkedAt, n := -1, 0
	for rest := f.Value; n == 0 || rest != nil; n++ {
		var e []byte
		e, rest = element(rest)
		switch {
		case !isToken(e):
			return bad(BadTransferEncoding, "Transfer-Encoding is %s, expected chunked", quote(f.Value))
		case chunkedAt >= 0:
			return bad(BadTransferEncoding, "Transfer-Encoding is %s, but nothing may follow chunked (RFC 9112 section 6.1)", quote(f.Value))
		case FoldEqual(e, "chunked"):
			chunkedAt = n
		}
	}
	return bad(BadTransferEncoding, "Transfer-Encoding is %s, of which only chunked is implemented", quote(f.Value)).as(http.StatusNotImplemented)
}

func (m *framing) seeConnection(f *Field) *Error {
	for rest := f.Value; len(rest) > 0; {
		var o []byte
		o, rest = element(rest)
		switch {
		case len(o) == 0:
		case FoldEqual(o, "close"):
			m.close = true
		case FoldEqual(o, "keep-alive"):
			m.keepAlive = true
		case FoldEqual(o, "upgrade"):
			m.upgrade = true
		case nameable(KindOf(o)):
			if len(m.options) == maxOptions {
				return bad(BadHeader, "Connection names more than %d fields", maxOptions)
			}
			m.options = append(m.options, o)
		}
	}
	return nil
}

// nameable reports whether Connection may have a field of that kind removed.
// It must not where the message would mean something else without it, and need
// not where the field is removed anyway (RFC 9110 section 7.6.1).
func nameable(k Kind) bool {
	switch k {
	case Host, ContentLength, ContentType, ContentEncoding, Expect:
		return false
	}
	return !hopByHop(k)
}

// hopByHop reports whether fields of that kind concern this connection only,
// named by Connection or not (RFC 9110 sections 7.6.1, 11.7.1 and 11.7.2;
// Keep-Alive and Proxy-Connection by custom). Trailer is not among them: it
// describes a section that is forwarded (RFC 9110 section 6.6.2).
func hopByHop(k Kind) bool {
	switch k {
	case Connection, KeepAlive, ProxyAuthenticate, ProxyAuthorization, ProxyConnection, TE, TransferEncoding, Upgrade:
		return true
	}
	return false
}

func (m *framing) hop(f *Field) bool {
	if hopByHop(f.Kind) {
		return true
	}
	if len(m.options) == 0 || !nameable(f.Kind) {
		return false
	}
	for _, o := range m.options {
		if sameFold(o, f.Name) {
			return true
		}
	}
	return false
}

// check finds what no single field shows.
func (m *framing) check(minor int) *Error {
	switch {
	case m.hasCoding && m.hasLength:
		return bad(BothTeClPresent, "Transfer-Encoding beside Content-Length %d (RFC 9112 section 6.1)", m.length)
	case m.hasCoding && minor == 0:
		return bad(BadTransferEncoding, "Transfer-Encoding in an HTTP/1.0 message (RFC 9112 section 6.1)")
	}
	return nil
}

// persistent says whether the connection outlives the message (RFC 9112
// section 9.3).
func (m *framing) persistent(minor int) bool {
	return !m.close && (minor == 1 || m.keepAlive)
}

// upgradeTo returns the protocol to change to, nil where Upgrade has to be or
// may be ignored: HTTP/1.0, not named by Connection, or more than one field
// (RFC 9110 section 7.8).
func (m *framing) upgradeTo(minor int) []byte {
	if minor == 0 || !m.upgrade || m.upgrades != 1 || len(m.protocol) == 0 {
		return nil
	}
	return m.protocol
}
