package http1

import "net/http"

// A Response is the head of a response. Everything in it is a slice of the
// buffer that was parsed. The zero value is ready; use it again and again, its
// memory is kept.
type Response struct {
	Minor  int    // HTTP/1.Minor: 0 or 1
	Status int    // 100 to 999
	Reason []byte // as sent, perhaps empty
	Fields []Field

	Body             BodyKind
	ContentLength    int64 // octets of content; for NoBody what the field says or 0; -1 for Chunked, UntilClose
	HasContentLength bool
	HasTE            bool // Transfer-Encoding is there, and chunked

	KeepAlive bool   // the connection may carry another request after this response
	UpgradeTo []byte // value of Upgrade where Connection names it, else nil

	msg  framing
	scan scanner
}

// Reset forgets everything but the memory for Fields.
func (r *Response) Reset() {
	m := r.msg
	m.reset()
	*r = Response{Fields: r.Fields[:0], msg: m}
}

// Hop reports whether f concerns this connection only, by its kind or because
// Connection names it, and must not be forwarded (RFC 9110 section 7.6.1).
func (r *Response) Hop(f *Field) bool { return r.msg.hop(f) }

// Parse reads one response head from the start of buf; the method of the
// request decides with it whether content follows (RFC 9112 section 6.3). n is
// its length, the empty line included. It returns ErrIncomplete as
// Request.Parse does; any other error is an *Error whose Status is 502.
//
// An interim response (1xx) is a response of its own; the next head follows it.
func (r *Response) Parse(buf []byte, lim Limits, requestMethod []byte) (n int, err error) {
	if r.scan.at == 0 || r.scan.at > len(buf) {
		r.Reset()
	}
	lim.setDefaults()
	n, e := r.parse(buf, &lim, requestMethod)
	switch {
	case e != nil:
		r.scan = scanner{}
		return 0, e.as(http.StatusBadGateway)
	case n == 0:
		return 0, ErrIncomplete
	}
	r.scan = scanner{}
	return n, nil
}

// parse returns 0 where the head is incomplete.
func (r *Response) parse(buf []byte, lim *Limits, requestMethod []byte) (n int, e *Error) {
	s := &r.scan
	resumed := s.first > 0
	if !resumed {
		if len(buf) == 0 {
			return 0, nil
		}
		if buf[0] != 'H' {
			return 0, bad(BadVersion, "the response starts with %s, expected HTTP/1.1 or HTTP/1.0", quote(buf[:min(8, len(buf))]))
		}
		end, e := s.next(buf, lim.Line, statusLine, lim)
		if end == 0 {
			return 0, e
		}
		if e := r.readLine(buf[:end-2]); e != nil {
			return 0, e
		}
		s.first = end
	}
	if n, e = s.rest(buf, lim); n == 0 {
		return 0, e
	}
	if resumed {
		_ = r.readLine(buf[:s.first-2]) // The buffer may have moved since.
	}
	if r.Fields, e = appendFields(r.Fields, buf[:n:n], s.first, lim); e != nil {
		return 0, e
	}
	return n, r.conclude(requestMethod)
}

// readLine parses a status line without its CRLF (RFC 9112 section 4). The
// space before an empty reason phrase may be missing, as many servers have it.
func (r *Response) readLine(b []byte) (e *Error) {
	const fixed = len("HTTP/1.1 200")
	if r.Minor, e = version(b[:min(len("HTTP/1.1"), len(b))]); e != nil {
		return e
	}
	if len(b) < fixed || b[8] != ' ' || len(b) > fixed && b[fixed] != ' ' {
		return bad(BadStatus, "the status line is %s, expected a status of three digits between single spaces", quote(b))
	}
	r.Status = 0
	for _, c := range b[9:fixed] {
		if c -= '0'; c > 9 {
			return bad(BadStatus, "the status is %s, expected three digits", quote(b[9:fixed]))
		}
		r.Status = r.Status*10 + int(c)
	}
	if r.Status < 100 {
		return bad(BadStatus, "the status is %s, expected 100 or more", quote(b[9:fixed]))
	}
	r.Reason = nil
	if len(b) > fixed {
		r.Reason = b[fixed+1:]
	}
	if i := valueEnd(r.Reason, 0); i < len(r.Reason) {
		return bad(BadStatus, "the octet 0x%02x in the reason phrase", r.Reason[i])
	}
	return nil
}

// conclude draws the conclusions from all the fields together.
func (r *Response) conclude(requestMethod []byte) *Error {
	for i := range r.Fields {
		if e := r.msg.see(&r.Fields[i]); e != nil {
			return e
		}
	}
	if e := r.msg.check(r.Minor); e != nil {
		return e
	}
	r.HasContentLength, r.HasTE = r.msg.hasLength, r.msg.hasCoding
	r.KeepAlive = r.msg.persistent(r.Minor)
	r.UpgradeTo = r.msg.upgradeTo(r.Minor)
	r.ContentLength = r.msg.length
	announced := r.msg.hasCoding || r.msg.length > 0
	switch {
	case r.Status < 200:
		// The next head follows at once. A sender that announces content here may
		// mean to send some before it (RFC 9112 section 6.1, RFC 9110 section 8.6).
		if announced {
			return bad(BadStatus, "an interim response with status %d announces content", r.Status)
		}
	case r.Status == http.StatusNoContent:
		// Old servers do announce content here, and some send a last chunk. There
		// is none (RFC 9112 section 6.3), but nobody knows what comes next.
		r.KeepAlive = r.KeepAlive && !announced
	case r.Status == http.StatusNotModified:
	case string(requestMethod) == http.MethodHead:
	case r.Status < 300 && string(requestMethod) == http.MethodConnect:
	case r.msg.hasCoding:
		r.Body, r.ContentLength = Chunked, -1
	case r.msg.length > 0:
		r.Body = Length
	case !r.msg.hasLength:
		r.Body, r.ContentLength = UntilClose, -1
		r.KeepAlive = false
	}
	return nil
}
