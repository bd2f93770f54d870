package http1

import (
	"bytes"
	"net/http"
	"net/netip"
)

// readTarget takes the request target apart (RFC 9112 section 3.2).
func (r *Request) readTarget() *Error {
	t := r.Target
	r.Path, r.Query, r.HasQuery, r.Scheme, r.Authority = nil, nil, false, nil, nil
	switch {
	case len(t) == 0:
		return bad(BadURI, "the request target is empty")
	case string(r.Method) == http.MethodConnect:
		if fault := hostFault(t); fault != "" {
			return bad(BadURI, "the target of CONNECT is %s: %s", quote(t), fault)
		}
		if portOf(t) == nil {
			return bad(BadURI, "the target of CONNECT is %s, expected host:port (RFC 9112 section 3.2.3)", quote(t))
		}
		r.Authority = t
		return nil
	case t[0] == '/':
		return r.readPath(t)
	case len(t) == 1 && t[0] == '*':
		if string(r.Method) != http.MethodOptions {
			return bad(BadURI, "the target * goes with OPTIONS only (RFC 9112 section 3.2.4)")
		}
		r.Path = t
		return nil
	}
	return r.readAbsolute(t)
}

// readAbsolute reads scheme "://" authority path-abempty ["?" query], the
// scheme being http or https.
func (r *Request) readAbsolute(t []byte) *Error {
	colon := bytes.IndexByte(t, ':')
	if colon < 0 || !FoldEqual(t[:colon], "http") && !FoldEqual(t[:colon], "https") || !bytes.HasPrefix(t[colon:], []byte("://")) {
		return bad(BadURI, "the request target is %s, expected a path, http://..., or https://...", quote(t))
	}
	start := colon + len("://")
	end := start
	for end < len(t) && t[end] != '/' && t[end] != '?' {
		end++
	}
	r.Scheme, r.Authority = t[:colon:colon], t[start:end:end]
	if fault := hostFault(r.Authority); fault != "" {
		return bad(BadURI, "the request target is on %s: %s", quote(r.Authority), fault)
	}
	if e := r.readPath(t[end:]); e != nil {
		return e
	}
	if len(r.Path) == 0 {
		// RFC 9112 section 3.2.1: an empty path is "/". There is one in "://".
		r.Path = t[colon+1 : colon+2 : colon+2]
		if string(r.Method) == http.MethodOptions && !r.HasQuery {
			r.Path = []byte("*") // section 3.2.4
		}
	}
	return nil
}

// inTarget holds the octets of a path or query that need no second look: all
// that are visible but "#", "%" and "?". That is more than RFC 3986 has in pchar:
// browsers send |, [, ], ^ and the like as they are (WHATWG URL).
var inTarget = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = c != '#' && c != '%' && c != '?'
	}
	return t
}()

// readPath splits t into path and query.
func (r *Request) readPath(t []byte) *Error {
	r.Path = t
	for i := 0; i < len(t); i++ {
		c := t[i]
		switch {
		case inTarget[c]:
		case c == '?' && !r.HasQuery:
			r.Path, r.Query, r.HasQuery = t[:i:i], t[i+1:], true
		case c == '?':
		case c == '%' && len(t)-i >= 3 && hexValue[t[i+1]] < 16 && hexValue[t[i+2]] < 16:
			i += 2
		case c == '%':
			return bad(BadURI, "a percent sign in the request target is not followed by two hexadecimal digits: %s", quote(t[i:min(i+3, len(t))]))
		case c == '#':
			return bad(BadURI, "the request target has a fragment, which is not sent (RFC 9110 section 7.1)")
		case c == 0 || c == '\r' || c >= 0x80:
			return bad(BadURI, "the octet 0x%02x in the request target", c)
		default:
			return bad(AmbiguousURI, "the octet 0x%02x in the request target", c)
		}
	}
	return nil
}

// hostFault returns what is wrong with an authority without user information,
// "" for nothing: a name of unreserved characters, an IPv4 address or an IPv6
// address in brackets, then perhaps a port (RFC 9110 section 7.2, RFC 3986
// section 3.2). An empty name, which RFC 9110 allows, says nothing about whom the request
// is for; a port that is "" says nothing either.
func hostFault(h []byte) (fault string) {
	rest := h
	if len(h) > 0 && h[0] == '[' {
		end := bytes.IndexByte(h, ']')
		// The longest is 45 octets: six groups and an IPv4 address.
		if end < 0 || end > 46 || bytes.IndexByte(h[:end], '%') >= 0 {
			return "expected an IPv6 address in brackets"
		}
		if a, err := netip.ParseAddr(string(h[1:end])); err != nil || !a.Is6() {
			return "expected an IPv6 address in brackets"
		}
		rest = h[end+1:]
	} else {
		for len(rest) > 0 && regName[rest[0]] {
			rest = rest[1:]
		}
		if len(rest) == len(h) {
			return "expected a host name or an address"
		}
	}
	if len(rest) == 0 {
		return ""
	}
	if rest[0] != ':' {
		return "expected host or host:port, the host of letters, digits, -, ., _ and ~"
	}
	port := 0
	for _, c := range rest[1:] {
		if c -= '0'; c > 9 {
			return "expected a port number behind the colon"
		}
		if port = port*10 + int(c); port > 65535 {
			return "the port is above 65535"
		}
	}
	if len(rest) == 1 || len(rest) > 6 {
		return "expected a port number of at most five digits behind the colon"
	}
	return ""
}

// portOf returns the port of an authority that hostFault found good, nil
// without one.
func portOf(h []byte) []byte {
	colon := bytes.LastIndexByte(h, ':')
	if colon < 0 || h[len(h)-1] == ']' {
		return nil
	}
	return h[colon+1:]
}
