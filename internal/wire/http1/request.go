package http1

import (
	"bytes"
	"net/http"
)

// A Request is the head of a request. Everything in it is a slice of the
// buffer that was parsed. The zero value is ready; use it again and again, its
// memory is kept.
type Request struct {
	Method []byte // as sent
	Target []byte // as sent; of HTTP/2 the path with its query

	Path     []byte // of the target, "/" where an absolute-form has none, "*" for the asterisk-form; nil for CONNECT
	Query    []byte // of the target, without its "?"
	HasQuery bool   // there is a "?", though Query may be empty

	Scheme    []byte // of an absolute-form or of HTTP/2, as sent
	Authority []byte // of an absolute-form, authority-form or HTTP/2
	Host      []byte // whom the request is for, as sent, with port: Authority, else the Host field; nil only in HTTP/1.0

	Minor  int  // HTTP/1.Minor: 0 or 1
	HTTP2  bool // it came in HTTP/2: see Compose; Minor is 1
	Fields []Field

	Body             BodyKind // never UntilClose; of HTTP/2, Chunked says that the length is unknown
	ContentLength    int64    // octets of content; 0 for NoBody, -1 for Chunked
	HasContentLength bool
	HasTE            bool // Transfer-Encoding is there, and chunked

	KeepAlive      bool   // the connection may carry another request after this one
	ExpectContinue bool   // the client waits for 100 before it sends the content
	UpgradeTo      []byte // value of Upgrade where it applies, else nil

	msg       framing
	scan      scanner
	hosts     int
	hostField []byte
}

// Reset forgets everything but the memory for Fields.
func (r *Request) Reset() {
	m := r.msg
	m.reset()
	*r = Request{Fields: r.Fields[:0], msg: m}
}

// Hop reports whether f concerns this connection only, by its kind or because
// Connection names it, and must not be forwarded (RFC 9110 section 7.6.1).
func (r *Request) Hop(f *Field) bool { return r.msg.hop(f) }

// Desync returns what AWS's access log calls the oddity of a request that was
// accepted, "" for none: content or its length announced with GET or HEAD.
func (r *Request) Desync() string {
	switch m := string(r.Method); {
	case m != http.MethodGet && m != http.MethodHead:
		return ""
	case r.HasTE:
		return UndefinedTransferEncodingSemantics
	case r.HasContentLength && r.ContentLength == 0:
		return GetHeadZeroContentLength
	case r.HasContentLength:
		return UndefinedContentLengthSemantics
	}
	return ""
}

// Parse reads one request head from the start of buf. n is its length, the
// empty line and one CRLF before it included, which RFC 9112 section 2.2 wants
// ignored.
//
// ErrIncomplete asks for more: call again with the same octets at the start of
// buf, wherever it now lies, or Reset. Octets seen before are not searched
// again. The fields of r mean nothing until then. Any other error is an *Error;
// Method and Target are set if they could be read. A call after success or an
// error starts a new message.
func (r *Request) Parse(buf []byte, lim Limits) (n int, err error) {
	if r.scan.at == 0 || r.scan.at > len(buf) {
		r.Reset()
	}
	lim.setDefaults()
	n, e := r.parse(buf, &lim)
	switch {
	case e != nil:
		r.scan = scanner{}
		return 0, e
	case n == 0:
		return 0, ErrIncomplete
	}
	r.scan = scanner{}
	return n, nil
}

// parse returns 0 where the head is incomplete.
func (r *Request) parse(buf []byte, lim *Limits) (n int, e *Error) {
	s := &r.scan
	resumed := s.first > 0
	if !resumed {
		if s.at == 0 && bytes.HasPrefix(buf, []byte("\r\n")) {
			s.skip, s.line, s.at = 2, 2, 2
		}
		if len(buf) == s.line || string(buf) == "\r" {
			return 0, nil
		}
		if !tchar[buf[s.line]] {
			return 0, bad(BadMethod, "a request cannot start with the octet 0x%02x", buf[s.line])
		}
		end, e := s.next(buf, lim.Line, statusLine, lim)
		if end == 0 {
			return 0, e
		}
		if e := r.readLine(buf[s.skip : end-2]); e != nil {
			return 0, e
		}
		s.first = end
	}
	if n, e = s.rest(buf, lim); n == 0 {
		return 0, e
	}
	if resumed {
		// The buffer may have moved since; the line is known to be good.
		_ = r.readLine(buf[s.skip : s.first-2])
	}
	if r.Fields, e = appendFields(r.Fields, buf[:n:n], s.first, lim); e != nil {
		return 0, e
	}
	return n, r.conclude()
}

// readLine parses a request line without its CRLF (RFC 9112 section 3).
func (r *Request) readLine(b []byte) *Error {
	i := 0
	for i < len(b) && tchar[b[i]] {
		i++
	}
	if i == len(b) || b[i] != ' ' {
		return bad(BadMethod, "the request starts with %s, expected a method and a space (RFC 9112 section 3)", quote(b[:min(i+1, len(b))]))
	}
	r.Method = b[:i:i]
	b = b[i+1:]
	i = 0
	for i < len(b) && b[i] != ' ' {
		i++
	}
	r.Target = b[:i:i]
	if i == len(b) {
		return bad(BadVersion, "the request line has no HTTP version")
	}
	var e *Error
	if r.Minor, e = version(b[i+1:]); e != nil {
		if e.Status == http.StatusBadRequest && bytes.IndexByte(b[i+1:], ' ') >= 0 {
			return bad(SpaceInURI, "the request line has more than two spaces (RFC 9112 section 3)")
		}
		return e
	}
	return r.readTarget()
}

// version reads "HTTP/1.0" or "HTTP/1.1", in capitals (RFC 9112 section 2.3).
func version(b []byte) (minor int, e *Error) {
	switch string(b) {
	case "HTTP/1.1":
		return 1, nil
	case "HTTP/1.0":
		return 0, nil
	}
	if len(b) == 8 && string(b[:5]) == "HTTP/" && b[5]-'0' < 10 && b[6] == '.' && b[7]-'0' < 10 {
		return 0, bad(NonCompliantVersion, "the version is %s, expected HTTP/1.1 or HTTP/1.0", quote(b)).as(http.StatusHTTPVersionNotSupported)
	}
	return 0, bad(BadVersion, "the version is %s, expected HTTP/1.1 or HTTP/1.0", quote(b))
}

// conclude draws the conclusions from all the fields together.
func (r *Request) conclude() *Error {
	expect := false
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Kind {
		case Other:
			if len(f.Name) == len("content-length") || len(f.Name) == len("transfer-encoding") {
				if suspicious(f.Name, "") != "" {
					return bad(SuspiciousHeader, "the field name %s can be taken for one that says where the content ends", quote(f.Name))
				}
			}
		case Host:
			r.hosts++
			r.hostField = f.Value
		case Expect:
			if !FoldEqual(f.Value, "100-continue") {
				return bad(BadExpect, "Expect is %s, expected 100-continue (RFC 9110 section 10.1.1)", quote(f.Value)).as(http.StatusExpectationFailed)
			}
			expect = true
		default:
			if e := r.msg.see(f); e != nil {
				return e
			}
		}
	}
	if e := r.msg.check(r.Minor); e != nil {
		return e
	}
	if e := r.checkHost(); e != nil {
		return e
	}
	r.HasContentLength, r.HasTE = r.msg.hasLength, r.msg.hasCoding
	switch {
	case r.msg.hasCoding:
		r.Body, r.ContentLength = Chunked, -1
	case r.msg.length > 0:
		r.Body, r.ContentLength = Length, r.msg.length
	}
	r.KeepAlive = r.msg.persistent(r.Minor)
	r.ExpectContinue = expect && r.Minor == 1 && r.Body != NoBody
	r.UpgradeTo = r.msg.upgradeTo(r.Minor)
	return nil
}

// checkHost finds out whom the request is for (RFC 9112 section 3.2).
func (r *Request) checkHost() *Error {
	switch {
	case r.hosts > 1:
		return bad(BadHost, "Host is given %d times (RFC 9112 section 3.2)", r.hosts)
	case r.hosts == 0 && r.HTTP2:
		if r.Authority == nil {
			return bad(BadHost, "there is neither :authority nor Host (RFC 9113 section 8.3.1)")
		}
	case r.hosts == 0 && r.Minor == 1:
		return bad(BadHost, "there is no Host, which HTTP/1.1 demands (RFC 9112 section 3.2)")
	case r.hosts == 1:
		if fault := hostFault(r.hostField); fault != "" {
			return bad(BadHost, "Host is %s: %s", quote(r.hostField), fault)
		}
		// RFC 9112 section 3.2.2 has a proxy replace Host by what the target says.
		// Whoever sends two different names here is out to have two parties see
		// different ones.
		if r.Authority != nil && !sameFold(r.Authority, r.hostField) {
			return bad(BadHost, "Host is %s, but the target is on %s", quote(r.hostField), quote(r.Authority))
		}
	}
	if r.Host = r.Authority; r.Host == nil {
		r.Host = r.hostField
	}
	return nil
}
