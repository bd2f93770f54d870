package http1

import "net/http"

// Compose fills r with a request head that came in another version of HTTP,
// under the rules that hold for one in HTTP/1.1: the same targets, hosts,
// lengths and expectations are refused with the same kinds. What only the other
// version demands, such as names in lower case, its codec has checked before.
//
// path is the path with its query; nil where there is none, with a CONNECT whose
// target is authority (RFC 9113 section 8.5). authority is nil where the message
// has none: Host then takes its place (section 8.3.1). Target becomes what the
// request line would show, path or else authority. fields have their Kind set.
// ended says that no content follows.
//
// Method, Target and Fields are set even if an error is returned.
func (r *Request) Compose(method, scheme, authority, path []byte, fields []Field, ended bool) *Error {
	r.Reset()
	r.Method, r.Scheme, r.Authority, r.Fields = method, scheme, authority, fields
	r.Minor, r.HTTP2 = 1, true
	if r.Target = path; path == nil {
		r.Target = authority
	}
	if !isToken(method) {
		return bad(BadMethod, "the method is %s, expected a token (RFC 9110 section 9.1)", quote(method))
	}
	if e := r.composeTarget(path); e != nil {
		return e
	}
	if e := r.conclude(); e != nil {
		return e
	}
	r.KeepAlive = true
	switch {
	case r.msg.hasCoding:
		return bad(BadTransferEncoding, "Transfer-Encoding, which HTTP/2 has not (RFC 9113 section 8.2.2)")
	case ended && r.Body == Length:
		return bad(BadContentLength, "Content-Length is %d, but no content follows (RFC 9113 section 8.1.1)", r.ContentLength)
	case !ended && !r.msg.hasLength:
		r.Body, r.ContentLength = Chunked, -1
		r.ExpectContinue = Find(fields, Expect) != nil
	}
	return nil
}

// composeTarget reads what the request line has between two spaces.
func (r *Request) composeTarget(path []byte) *Error {
	if path == nil {
		if string(r.Method) != http.MethodConnect {
			return bad(BadURI, "there is no path, which all methods but CONNECT need (RFC 9113 section 8.3.1)")
		}
		return r.readTarget()
	}
	if !FoldEqual(r.Scheme, "http") && !FoldEqual(r.Scheme, "https") {
		return bad(BadURI, "the scheme is %s, expected http or https", quote(r.Scheme))
	}
	if r.Authority != nil {
		if fault := hostFault(r.Authority); fault != "" {
			return bad(BadHost, "the authority is %s: %s", quote(r.Authority), fault)
		}
	}
	switch {
	case len(path) > 0 && path[0] == '/':
		return r.readPath(path)
	case string(path) == "*":
		if string(r.Method) != http.MethodOptions {
			return bad(BadURI, "the target * goes with OPTIONS only (RFC 9113 section 8.3.1)")
		}
		r.Path = path
		return nil
	}
	return bad(BadURI, "the path is %s, expected one that starts with /", quote(path))
}

// Compose fills r with a response head that came in another version of HTTP, as
// Request.Compose does. An error has status 502.
func (r *Response) Compose(status int, fields []Field, ended bool, requestMethod []byte) *Error {
	r.Reset()
	r.Minor, r.Status, r.Fields = 1, status, fields
	if status < 100 || status > 999 {
		return bad(BadStatus, "the status is %d, expected three digits", status).as(http.StatusBadGateway)
	}
	if e := r.conclude(requestMethod); e != nil {
		return e.as(http.StatusBadGateway)
	}
	r.KeepAlive = true
	switch {
	case r.msg.hasCoding:
		return bad(BadTransferEncoding, "Transfer-Encoding, which HTTP/2 has not (RFC 9113 section 8.2.2)").as(http.StatusBadGateway)
	case ended && r.Body == Length:
		return bad(BadContentLength, "Content-Length is %d, but no content follows (RFC 9113 section 8.1.1)",
			r.ContentLength).as(http.StatusBadGateway)
	case r.Body == UntilClose && ended:
		r.Body, r.ContentLength = NoBody, 0
	case r.Body == UntilClose:
		r.Body = Chunked
	}
	return nil
}

// Trailers drops those of fields, trailers that came in another version of
// HTTP, that have no business in a trailer section, as Chunks does. It works in
// place.
func Trailers(fields []Field) []Field {
	kept := fields[:0]
	for i := range fields {
		if mayTrail(&fields[i]) {
			kept = append(kept, fields[i])
		}
	}
	return kept
}

// ValueEnd returns the index of the first octet of value that may not stand in a
// field value (RFC 9110 section 5.5), or its length if there is none.
func ValueEnd(value []byte) int { return valueEnd(value, 0) }
