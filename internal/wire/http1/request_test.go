package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// lines joins a head of lines, and ends it.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

// get is a request for / with the field lines l behind a Host.
func get(l ...string) string {
	return lines(append([]string{"GET / HTTP/1.1", "Host: h"}, l...)...)
}

// parseBoth parses b whole and octet by octet, moving the buffer each time, and
// fails where the two differ.
func parseBoth(t rapid.TB, b []byte, lim Limits) (*Request, int, *Error) {
	t.Helper()
	var whole Request
	n, err := whole.Parse(b, lim)
	var bytewise Request
	copies := [2][]byte{bytes.Clone(b), bytes.Clone(b)}
	for i := range len(b) + 1 {
		m, stepErr := bytewise.Parse(copies[i%2][:i:i], lim)
		if stepErr == ErrIncomplete && i < len(b) {
			// Asking again without more changes nothing.
			if _, err := bytewise.Parse(copies[i%2][:i:i], lim); err != ErrIncomplete {
				t.Fatalf("asked twice after %d octets: %v", i, err)
			}
			continue
		}
		if got, want := describe(&bytewise, m, stepErr), describe(&whole, n, err); got != want {
			t.Fatalf("octet by octet, after %d of %d octets:\n%s\nwhole:\n%s", i, len(b), got, want)
		}
		break
	}
	var e *Error
	if err != nil && !errors.As(err, &e) && err != ErrIncomplete {
		t.Fatalf("error %T, want *Error", err)
	}
	if e != nil && (e.Reason == "" || e.Kind == "" || len(e.Reason) > 600) {
		t.Errorf("error %#v, want a kind and a reason of less than 600 octets", e)
	}
	return &whole, n, e
}

// describe writes out all that r says. What a head means is nothing where
// there was an error.
func describe(r *Request, n int, err error) string {
	var e *Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%d %s", e.Status, e.Kind)
	}
	if err != nil {
		return err.Error()
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%d %q %q %q %q %v\n", n, r.Method, r.Target, r.Path, r.Query, r.HasQuery)
	fmt.Fprintf(&s, "%q %q %q %d\n", r.Scheme, r.Authority, r.Host, r.Minor)
	fmt.Fprintf(&s, "%v %d %v %v %v %v %q\n", r.Body, r.ContentLength, r.HasContentLength, r.HasTE, r.KeepAlive, r.ExpectContinue, r.UpgradeTo)
	for i := range r.Fields {
		f := &r.Fields[i]
		fmt.Fprintf(&s, "%q %q %v %v\n", f.Name, f.Value, f.Kind, r.Hop(f))
	}
	return s.String()
}

func TestRequestAccepted(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Request // Method, Target and Fields are compared where set
		clause   string
	}{
		{"origin-form", lines("GET /a/b?c=d&e HTTP/1.1", "Host: example.com"),
			Request{Method: []byte("GET"), Target: []byte("/a/b?c=d&e"), Path: []byte("/a/b"), Query: []byte("c=d&e"), HasQuery: true, Host: []byte("example.com"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.1"},
		{"empty query", lines("GET /? HTTP/1.1", "Host: h"),
			Request{Path: []byte("/"), HasQuery: true, Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 3986 3.4"},
		{"question mark in the query", lines("GET /?a?b HTTP/1.1", "Host: h"),
			Request{Path: []byte("/"), Query: []byte("a?b"), HasQuery: true, Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 3986 3.4"},
		{"two slashes are a path, not an authority", lines("GET //evil/a HTTP/1.1", "Host: h"),
			Request{Path: []byte("//evil/a"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.1"},
		{"what browsers leave as it is", lines("GET /a|b[c]^`{}'\"<>\\?x={\"y\":[1]} HTTP/1.1", "Host: h"),
			Request{Path: []byte("/a|b[c]^`{}'\"<>\\"), Query: []byte("x={\"y\":[1]}"), HasQuery: true, Host: []byte("h"), Minor: 1, KeepAlive: true}, "WHATWG URL"},
		{"percent-encoding stays as sent", lines("GET /%2e%2E/%00 HTTP/1.1", "Host: h"),
			Request{Path: []byte("/%2e%2E/%00"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 3986 2.1"},
		{"absolute-form", lines("GET http://example.com:8080/a?b HTTP/1.1", "Host: example.com:8080"),
			Request{Path: []byte("/a"), Query: []byte("b"), HasQuery: true, Scheme: []byte("http"), Authority: []byte("example.com:8080"), Host: []byte("example.com:8080"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.2"},
		{"absolute-form, other cases", lines("GET HTTPS://EXAMPLE.com HTTP/1.1", "Host: example.COM"),
			Request{Path: []byte("/"), Scheme: []byte("HTTPS"), Authority: []byte("EXAMPLE.com"), Host: []byte("EXAMPLE.com"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.1"},
		{"absolute-form, no path but a query", lines("GET http://h?q HTTP/1.1", "Host: h"),
			Request{Path: []byte("/"), Query: []byte("q"), HasQuery: true, Scheme: []byte("http"), Authority: []byte("h"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.1"},
		{"absolute-form in HTTP/1.0 needs no Host", lines("GET http://h/ HTTP/1.0"),
			Request{Path: []byte("/"), Scheme: []byte("http"), Authority: []byte("h"), Host: []byte("h")}, "RFC 9112 3.2"},
		{"asterisk-form", lines("OPTIONS * HTTP/1.1", "Host: h"),
			Request{Path: []byte("*"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.4"},
		{"OPTIONS of a whole server", lines("OPTIONS http://h HTTP/1.1", "Host: h"),
			Request{Path: []byte("*"), Scheme: []byte("http"), Authority: []byte("h"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.4"},
		{"OPTIONS with a query", lines("OPTIONS http://h? HTTP/1.1", "Host: h"),
			Request{Path: []byte("/"), HasQuery: true, Scheme: []byte("http"), Authority: []byte("h"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.4"},
		{"authority-form", lines("CONNECT example.com:443 HTTP/1.1", "Host: example.com:443"),
			Request{Authority: []byte("example.com:443"), Host: []byte("example.com:443"), Minor: 1, KeepAlive: true}, "RFC 9112 3.2.3"},
		{"unknown method", lines("M-SEARCH! / HTTP/1.1", "Host: h"),
			Request{Method: []byte("M-SEARCH!"), Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9110 9.1"},
		{"one CRLF before the head", "\r\n" + get(),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9112 2.2"},
		{"HTTP/1.0 without Host", lines("GET / HTTP/1.0"), Request{Path: []byte("/")}, "RFC 9112 9.3"},
		{"HTTP/1.0 kept alive", lines("GET / HTTP/1.0", "Connection: Keep-Alive"), Request{Path: []byte("/"), KeepAlive: true}, "RFC 9112 9.3"},
		{"close wins", lines("GET / HTTP/1.0", "Connection: keep-alive, close"), Request{Path: []byte("/")}, "RFC 9112 9.3"},
		{"close in a second field", get("Connection: x", "connection: ,, CLOSE ,"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1}, "RFC 9110 5.6.1, 7.6.1"},
		{"Content-Length", get("Content-Length: 12"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true, Body: Length, ContentLength: 12, HasContentLength: true}, "RFC 9112 6.3"},
		{"Content-Length 0", get("Content-Length: 0"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true, HasContentLength: true}, "RFC 9112 6.3"},
		{"the greatest Content-Length", get("Content-Length: 9223372036854775807"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true, Body: Length, ContentLength: 1<<63 - 1, HasContentLength: true}, "RFC 9110 8.6"},
		{"chunked", get("Transfer-Encoding: \tCHUNKED "),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true, Body: Chunked, ContentLength: -1, HasTE: true}, "RFC 9112 6.1"},
		{"Expect", get("Content-Length: 1", "Expect: 100-Continue"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true, Body: Length, ContentLength: 1, HasContentLength: true, ExpectContinue: true}, "RFC 9110 10.1.1"},
		{"Expect without content", get("Expect: 100-continue"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9110 10.1.1"},
		{"Expect in HTTP/1.0 is ignored", lines("PUT / HTTP/1.0", "Content-Length: 1", "Expect: 100-continue"),
			Request{Path: []byte("/"), Body: Length, ContentLength: 1, HasContentLength: true}, "RFC 9110 10.1.1"},
		{"Upgrade", get("Connection: Upgrade", "Upgrade: websocket"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true, UpgradeTo: []byte("websocket")}, "RFC 9110 7.8"},
		{"Upgrade that Connection does not name", get("Upgrade: websocket"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9110 7.8"},
		{"Upgrade in HTTP/1.0 is ignored", lines("GET / HTTP/1.0", "Connection: upgrade", "Upgrade: websocket"),
			Request{Path: []byte("/")}, "RFC 9110 7.8"},
		{"two Upgrades are ignored", get("Connection: upgrade", "Upgrade: websocket", "Upgrade: h2c"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9110 7.8"},
		{"obs-text in a value", get("X: caf\xe9\xff"), Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true}, "RFC 9110 5.5"},
		{"IPv6", lines("GET / HTTP/1.1", "Host: [::1]:65535"), Request{Path: []byte("/"), Host: []byte("[::1]:65535"), Minor: 1, KeepAlive: true}, "RFC 3986 3.2.2"},
		{"the longest IPv6", lines("GET / HTTP/1.1", "Host: [ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]"), Request{Path: []byte("/"), Host: []byte("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]"), Minor: 1, KeepAlive: true}, "RFC 3986 3.2.2"},
		{"trailing dot", lines("GET / HTTP/1.1", "Host: Example.COM.:443"), Request{Path: []byte("/"), Host: []byte("Example.COM.:443"), Minor: 1, KeepAlive: true}, "RFC 3986 3.2.2"},
		{"fields that only resemble the framing ones", get("Content_Lengths: 5", "ContentxLength: 5", "Content-Kength: 5"),
			Request{Path: []byte("/"), Host: []byte("h"), Minor: 1, KeepAlive: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, n, e := parseBoth(t, []byte(tt.in), Limits{})
			if e != nil {
				t.Fatalf("refused: %v (%s)", e, tt.clause)
			}
			if n != len(tt.in) {
				t.Errorf("n = %d, want %d", n, len(tt.in))
			}
			want := tt.want
			if want.Method == nil {
				want.Method = r.Method
			}
			if want.Target == nil {
				want.Target = r.Target
			}
			want.Fields, want.msg = r.Fields, r.msg
			if got, want := describe(r, n, nil), describe(&want, n, nil); got != want {
				t.Errorf("%s: got\n%swant\n%s", tt.clause, got, want)
			}
			// What follows the head is not looked at.
			if _, m, e := parseBoth(t, []byte(tt.in+"\n\n\x00"), Limits{}); e != nil || m != n {
				t.Errorf("with octets behind: %d, %v", m, e)
			}
			for i := range len(tt.in) {
				if _, err := new(Request).Parse([]byte(tt.in[:i]), Limits{}); err != ErrIncomplete {
					t.Fatalf("cut after %d octets: %v, want it incomplete", i, err)
				}
			}
		})
	}
}

func TestRequestFields(t *testing.T) {
	in := lines("GET / HTTP/1.1", "hOsT:h", "Empty:", "Blank: \t ", "Tabs:\t a \t b\t", "!#$%&'*+-.^_`|~0aZ: x", "Content-Length: 0007", "Again: 1", "Again: 2", "Colons: a:b:c", "cOOkie: a=b; c=d")
	r, _, e := parseBoth(t, []byte(in), Limits{})
	if e != nil {
		t.Fatal(e)
	}
	want := []struct {
		name, value string
		kind        Kind
	}{
		{"hOsT", "h", Host}, {"Empty", "", Other}, {"Blank", "", Other}, {"Tabs", "a \t b", Other},
		{"!#$%&'*+-.^_`|~0aZ", "x", Other}, {"Content-Length", "7", ContentLength},
		{"Again", "1", Other}, {"Again", "2", Other}, {"Colons", "a:b:c", Other}, {"cOOkie", "a=b; c=d", Cookie},
	}
	if len(r.Fields) != len(want) {
		t.Fatalf("%d fields, want %d", len(r.Fields), len(want))
	}
	for i, w := range want {
		if f := r.Fields[i]; string(f.Name) != w.name || string(f.Value) != w.value || f.Kind != w.kind {
			t.Errorf("field %d is %q: %q (%v), want %q: %q (%v)", i, f.Name, f.Value, f.Kind, w.name, w.value, w.kind)
		}
		// An append by the caller must not reach the octets behind.
		if f := r.Fields[i]; cap(f.Name) != len(f.Name) || cap(f.Value) != len(f.Value) {
			t.Errorf("field %q leaves room to append into the buffer", f.Name)
		}
	}
	if Find(r.Fields, Cookie) != &r.Fields[9] || Find(r.Fields, Via) != nil {
		t.Error("Find does not find the cookie, or finds what is not there")
	}
}

func TestRequestRefused(t *testing.T) {
	const (
		noHost = "RFC 9112 3.2"
	)
	for _, tt := range []struct {
		name, in string
		status   int
		kind     string
		clause   string
	}{
		// Request line.
		{"octet that starts no method", "\x16\x03\x01\x02\x00", 400, BadMethod, "RFC 9110 9.1"},
		{"two CRLF before the head", "\r\n\r\n" + get(), 400, BadMethod, "RFC 9112 2.2"},
		{"LF before the head", "\n" + get(), 400, BadMethod, "RFC 9112 2.2"},
		{"space before the method", " " + get(), 400, BadMethod, "RFC 9112 3"},
		{"tab behind the method", lines("GET\t/ HTTP/1.1", "Host: h"), 400, BadMethod, "RFC 9112 3"},
		{"no token as method", lines("GE(T / HTTP/1.1", "Host: h"), 400, BadMethod, "RFC 9110 9.1"},
		{"method alone", lines("GET", "Host: h"), 400, BadMethod, "RFC 9112 3"},
		{"HTTP/0.9", "GET /\r\n", 400, BadVersion, "RFC 9112 2.3"},
		{"two spaces before the target", lines("GET  / HTTP/1.1", "Host: h"), 400, SpaceInURI, "RFC 9112 3"},
		{"two spaces before the version", lines("GET /  HTTP/1.1", "Host: h"), 400, SpaceInURI, "RFC 9112 3"},
		{"space behind the version", lines("GET / HTTP/1.1 ", "Host: h"), 400, SpaceInURI, "RFC 9112 3"},
		{"space in the target", lines("GET /a b HTTP/1.1", "Host: h"), 400, SpaceInURI, "RFC 9112 3.2"},
		{"a second version", lines("GET / HTTP/1.1 HTTP/1.1", "Host: h"), 400, SpaceInURI, "RFC 9112 3"},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, NonCompliantVersion, "RFC 9113 3.4"},
		{"HTTP/1.2", lines("GET / HTTP/1.2", "Host: h"), 505, NonCompliantVersion, "RFC 9110 15.6.6"},
		{"HTTP/0.9 said aloud", lines("GET / HTTP/0.9"), 505, NonCompliantVersion, "RFC 9110 15.6.6"},
		{"small letters", lines("GET / http/1.1", "Host: h"), 400, BadVersion, "RFC 9112 2.3"},
		{"two digits", lines("GET / HTTP/1.10", "Host: h"), 400, BadVersion, "RFC 9112 2.3"},
		{"no dot", lines("GET / HTTP/1-1", "Host: h"), 400, BadVersion, "RFC 9112 2.3"},
		{"other protocol", lines("GET / ICAP/1.1", "Host: h"), 400, BadVersion, "RFC 9112 2.3"},
		{"CR in the version", lines("GET / HTTP/1.1\r", "Host: h"), 400, BadVersion, "RFC 9112 2.2"},
		// Request target.
		{"empty target", lines("GET  HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9112 3.2"},
		{"percent in the path of an absolute-form", lines("GET http://h/%x HTTP/1.1", "Host: h"), 400, BadURI, "RFC 3986 2.1"},
		{"relative target", lines("GET a HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9112 3.2"},
		{"asterisk with GET", lines("GET * HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9112 3.2.4"},
		{"asterisk with a query", lines("OPTIONS *?a HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9112 3.2.4"},
		{"authority-form with GET", lines("GET h:80 HTTP/1.1", "Host: h:80"), 400, BadURI, "RFC 9112 3.2.3"},
		{"CONNECT without a port", lines("CONNECT h HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9112 3.2.3"},
		{"CONNECT to IPv6 without a port", lines("CONNECT [::1] HTTP/1.1", "Host: [::1]"), 400, BadURI, "RFC 9112 3.2.3"},
		{"CONNECT with a path", lines("CONNECT / HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9112 3.2.3"},
		{"CONNECT with absolute-form", lines("CONNECT http://h:80/ HTTP/1.1", "Host: h:80"), 400, BadURI, "RFC 9112 3.2.3"},
		{"CONNECT elsewhere than Host", lines("CONNECT a:80 HTTP/1.1", "Host: b:80"), 400, BadHost, "RFC 9112 3.2"},
		{"other scheme", lines("GET ftp://h/ HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9110 4.2"},
		{"file scheme", lines("GET file:///etc/passwd HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9110 4.2"},
		{"scheme without authority", lines("GET http:/a HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9110 4.2.1"},
		{"empty authority", lines("GET http:///a HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9110 4.2.1"},
		{"user information", lines("GET http://h@evil/ HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9110 4.2.4"},
		{"T15: authority is not Host", lines("GET http://a/ HTTP/1.1", "Host: b"), 400, BadHost, "RFC 9112 3.2.2, stricter"},
		{"T15: authority is Host but for the port", lines("GET http://a:80/ HTTP/1.1", "Host: a"), 400, BadHost, "RFC 9112 3.2.2, stricter"},
		{"T15: absolute-form without Host", lines("GET http://a/ HTTP/1.1"), 400, BadHost, noHost},
		{"fragment", lines("GET /a#b HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9110 7.1"},
		{"fragment in the query", lines("GET /a?b#c HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9110 7.1"},
		{"fragment behind the authority", lines("GET http://h#b HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9110 7.1"},
		{"UTF-8 in the target", lines("GET /é HTTP/1.1", "Host: h"), 400, BadURI, "RFC 3986 2"},
		{"NUL in the target", lines("GET /a\x00b HTTP/1.1", "Host: h"), 400, BadURI, "RFC 3986 2"},
		{"CR in the target", lines("GET /a\rb HTTP/1.1", "Host: h"), 400, BadURI, "RFC 9112 2.2"},
		{"tab in the target", lines("GET /a\tb HTTP/1.1", "Host: h"), 400, AmbiguousURI, "RFC 3986 2"},
		{"DEL in the query", lines("GET /?a\x7f HTTP/1.1", "Host: h"), 400, AmbiguousURI, "RFC 3986 2"},
		{"percent without digits", lines("GET /%zz HTTP/1.1", "Host: h"), 400, BadURI, "RFC 3986 2.1"},
		{"percent cut short", lines("GET /%2 HTTP/1.1", "Host: h"), 400, BadURI, "RFC 3986 2.1"},
		{"percent at the end", lines("GET /?% HTTP/1.1", "Host: h"), 400, BadURI, "RFC 3986 2.1"},
		{"percent across the question mark", lines("GET /%2?0 HTTP/1.1", "Host: h"), 400, BadURI, "RFC 3986 2.1"},
		// Host.
		{"no Host", lines("GET / HTTP/1.1"), 400, BadHost, noHost},
		{"two Hosts", lines("GET / HTTP/1.1", "Host: h", "Host: h"), 400, BadHost, noHost},
		{"two Hosts in HTTP/1.0", lines("GET / HTTP/1.0", "Host: h", "hOST: h"), 400, BadHost, noHost},
		{"empty Host", lines("GET / HTTP/1.1", "Host:"), 400, BadHost, "RFC 9110 7.2, stricter"},
		{"list in Host", lines("GET / HTTP/1.1", "Host: a,b"), 400, BadHost, noHost},
		{"space in Host", lines("GET / HTTP/1.1", "Host: a b"), 400, BadHost, noHost},
		{"user information in Host", lines("GET / HTTP/1.1", "Host: a@b"), 400, BadHost, noHost},
		{"path in Host", lines("GET / HTTP/1.1", "Host: a/b"), 400, BadHost, noHost},
		{"obs-text in Host", lines("GET / HTTP/1.1", "Host: b\xc3\xbccher"), 400, BadHost, noHost},
		{"percent-encoding in Host", lines("GET / HTTP/1.1", "Host: %61"), 400, BadHost, "RFC 3986 3.2.2, stricter"},
		{"port alone", lines("GET / HTTP/1.1", "Host: :80"), 400, BadHost, noHost},
		{"empty port", lines("GET / HTTP/1.1", "Host: a:"), 400, BadHost, "RFC 3986 3.2.3, stricter"},
		{"no port number", lines("GET / HTTP/1.1", "Host: a:b"), 400, BadHost, noHost},
		{"port of six digits", lines("GET / HTTP/1.1", "Host: a:000080"), 400, BadHost, noHost},
		{"port above 65535", lines("GET / HTTP/1.1", "Host: a:65536"), 400, BadHost, noHost},
		{"two ports", lines("GET / HTTP/1.1", "Host: a:80:80"), 400, BadHost, noHost},
		{"IPv6 without brackets", lines("GET / HTTP/1.1", "Host: ::1"), 400, BadHost, noHost},
		{"IPv4 in brackets", lines("GET / HTTP/1.1", "Host: [127.0.0.1]"), 400, BadHost, noHost},
		{"bracket not closed", lines("GET / HTTP/1.1", "Host: [::1"), 400, BadHost, noHost},
		{"something behind the bracket", lines("GET / HTTP/1.1", "Host: [::1]a"), 400, BadHost, noHost},
		{"zone in IPv6", lines("GET / HTTP/1.1", "Host: [fe80::1%25eth0]"), 400, BadHost, "RFC 9110 4.2"},
		{"IPvFuture", lines("GET / HTTP/1.1", "Host: [v1.a]"), 400, BadHost, "RFC 3986 3.2.2, stricter"},
		// Expect.
		{"other expectation", get("Expect: 200-ok"), 417, BadExpect, "RFC 9110 10.1.1"},
		{"one expectation more", get("Expect: 100-continue, x"), 417, BadExpect, "RFC 9110 10.1.1"},
		// Connection.
		{"too many fields named by Connection", get("Connection: " + strings.Repeat("a,", maxOptions+1)), 400, BadHeader, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.in, tt.status, tt.kind, tt.clause) })
	}
}

func refused(t *testing.T, in string, status int, kind, clause string) {
	t.Helper()
	r, _, e := parseBoth(t, []byte(in), Limits{})
	if e == nil {
		t.Fatalf("accepted, or incomplete:\n%s\nwant %d %s (%s)", describe(r, 0, nil), status, kind, clause)
	}
	if e.Status != status || e.Kind != kind {
		t.Errorf("got %d %s (%s), want %d %s (%s)", e.Status, e.Kind, e.Reason, status, kind, clause)
	}
}

func TestRequestHop(t *testing.T) {
	in := get("Connection: close, X-One, x-TWO, Host, content-length, Transfer-Encoding, Content-Type, Expect",
		"X-One: 1", "x-two: 2", "X-Three: 3", "X_One: 4",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "Upgrade: x", "Proxy-Authorization: Basic eA==",
		"Trailer: X-One", "Content-Length: 5", "Content-Type: text/plain", "Expect: 100-continue",
		"Connection: X-Four", "X-Four: 4")
	r, _, e := parseBoth(t, []byte(in), Limits{})
	if e != nil {
		t.Fatal(e)
	}
	var hop []string
	for i := range r.Fields {
		if f := &r.Fields[i]; r.Hop(f) {
			hop = append(hop, string(f.Name))
		}
	}
	want := "Connection X-One x-two Keep-Alive Proxy-Connection TE Upgrade Proxy-Authorization Connection X-Four"
	if got := strings.Join(hop, " "); got != want {
		t.Errorf("dropped at this hop: %s\nwant (RFC 9110 7.6.1): %s", got, want)
	}
	if r.KeepAlive {
		t.Error("the connection is kept in spite of close")
	}
	// What one message's Connection names is nothing to the next.
	if _, err := r.Parse([]byte(get("X-One: 1")), Limits{}); err != nil || r.Hop(&r.Fields[1]) {
		t.Errorf("X-One is dropped from the next message (%v)", err)
	}
}

func TestRequestLimits(t *testing.T) {
	pad := func(n int) string { return strings.Repeat("a", n) }
	lim := Limits{Line: 40, Field: 30, Head: 110, Count: 3}
	for _, tt := range []struct {
		name, in string
		status   int // 0: accepted
	}{
		{"line at the limit", lines("GET /"+pad(40-14)+" HTTP/1.1", "Host: h"), 0},
		{"line above it", lines("GET /"+pad(41-14)+" HTTP/1.1", "Host: h"), 414},
		{"line without an end", "GET /" + pad(100), 414},
		{"field at the limit", lines("GET / HTTP/1.1", "Host: h", "X: "+pad(27)), 0},
		{"field above it", lines("GET / HTTP/1.1", "Host: h", "X: "+pad(28)), 431},
		{"field without an end", "GET / HTTP/1.1\r\nX: " + pad(60), 431},
		{"head at the limit", headOf(110), 0},
		{"head above it", headOf(111), 431},
		{"head without an end", headOf(110)[:108] + "X: aaaaaaaa", 431},
		{"fields at the limit", lines("GET / HTTP/1.1", "Host: h", "X:", "X:"), 0},
		{"fields above it", lines("GET / HTTP/1.1", "Host: h", "X:", "X:", "X:"), 431},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, e := parseBoth(t, []byte(tt.in), lim)
			switch {
			case tt.status == 0 && (e != nil || n != len(tt.in)):
				t.Errorf("refused: %v", e)
			case tt.status != 0 && (e == nil || e.Status != tt.status || e.Kind != TooLarge):
				t.Errorf("got %v, want %d", e, tt.status)
			}
		})
	}
	t.Run("defaults", func(t *testing.T) {
		// AWS's: 16 KiB, 16 KiB, 64 KiB (Application Load Balancer user guide, "Quotas").
		for _, tt := range []struct {
			in   string
			want bool
		}{
			{lines("GET /"+pad(16<<10-14)+" HTTP/1.1", "Host: h"), true},
			{lines("GET /"+pad(16<<10-13)+" HTTP/1.1", "Host: h"), false},
			{get("X: " + pad(16<<10-3)), true},
			{get("X: " + pad(16<<10-2)), false},
			{get("X: "+pad(16000), "X: "+pad(16000), "X: "+pad(16000), "X: "+pad(16000)), true},
			{get("X: "+pad(16300), "X: "+pad(16300), "X: "+pad(16300), "X: "+pad(16300), "X: "+pad(1000)), false},
			{get(strings.Split(strings.Repeat("X:\n", 255), "\n")[:255]...), true},
			{get(strings.Split(strings.Repeat("X:\n", 256), "\n")[:256]...), false},
		} {
			var r Request
			if _, err := r.Parse([]byte(tt.in), Limits{}); (err == nil) != tt.want {
				t.Errorf("%.40q... of %d octets: %v, want accepted: %v", tt.in, len(tt.in), err, tt.want)
			}
		}
	})
}

// headOf returns a request head of n octets, at least 86.
func headOf(n int) string {
	h := lines("GET /"+strings.Repeat("a", 26)+" HTTP/1.1", "Host: h", "X: "+strings.Repeat("a", 23), "X: ")
	return h[:len(h)-4] + strings.Repeat("a", n-len(h)) + "\r\n\r\n"
}

func TestRequestAgain(t *testing.T) {
	first, second := get("Content-Length: 0", "Connection: close"), lines("POST /b HTTP/1.0")
	buf := []byte(first + second)
	var r Request
	n, err := r.Parse(buf, Limits{})
	if err != nil || n != len(first) {
		t.Fatal(n, err)
	}
	m, err := r.Parse(buf[n:], Limits{})
	if err != nil || m != len(second) {
		t.Fatal(m, err)
	}
	var fresh Request
	if _, err := fresh.Parse([]byte(second), Limits{}); err != nil {
		t.Fatal(err)
	}
	if got, want := describe(&r, m, nil), describe(&fresh, m, nil); got != want {
		t.Errorf("the second request on a used value:\n%s\non a fresh one:\n%s", got, want)
	}
	if _, err := r.Parse([]byte("GET / HT"), Limits{}); err != ErrIncomplete {
		t.Fatal(err)
	}
	r.Reset()
	if _, err := r.Parse([]byte(second), Limits{}); err != nil {
		t.Errorf("after Reset in the middle of a head: %v", err)
	}
	if _, err := r.Parse([]byte("GET / HTTP/3.0\r\n"), Limits{}); err == nil || err == ErrIncomplete {
		t.Fatal(err)
	}
	if string(r.Method) != "GET" || string(r.Target) != "/" {
		t.Errorf("method and target of a refused request are %q %q, want them for the log", r.Method, r.Target)
	}
	if _, err := r.Parse([]byte(second), Limits{}); err != nil {
		t.Errorf("after an error: %v", err)
	}
}

// TestMovedBuffer: between two calls the caller may have grown its buffer, and
// used the old one for something else.
func TestMovedBuffer(t *testing.T) {
	in := lines("GET http://h/p?q HTTP/1.1", "Host: h", "X: y")
	for i := range len(in) {
		var r Request
		old := []byte(in[:i])
		if _, err := r.Parse(old, Limits{}); err != ErrIncomplete {
			t.Fatal(err)
		}
		clear(old)
		n, err := r.Parse([]byte(in), Limits{})
		if got := string(writeRequest(&r)); err != nil || n != len(in) || got != in || string(r.Path)+string(r.Query)+string(r.Host)+string(r.Scheme) != "/pqhhttp" {
			t.Fatalf("moved after %d octets: %q, %v", i, got, err)
		}
	}
	in = lines("HTTP/1.1 200 Fine", "X: y")
	for i := range len(in) {
		var r Response
		old := []byte(in[:i])
		if _, err := r.Parse(old, Limits{}, nil); err != ErrIncomplete {
			t.Fatal(err)
		}
		clear(old)
		if _, err := r.Parse([]byte(in), Limits{}, nil); err != nil || string(r.Reason) != "Fine" || string(r.Fields[0].Name) != "X" {
			t.Fatalf("moved after %d octets: %q, %v", i, r.Reason, err)
		}
	}
}

func TestRequestDesync(t *testing.T) {
	for in, want := range map[string]string{
		get():                             "",
		get("Content-Length: 0"):          GetHeadZeroContentLength,
		get("Content-Length: 1"):          UndefinedContentLengthSemantics,
		get("Transfer-Encoding: chunked"): UndefinedTransferEncodingSemantics,
		lines("POST / HTTP/1.1", "Host: h", "Content-Length: 1"): "",
	} {
		r, _, e := parseBoth(t, []byte(in), Limits{})
		if e != nil {
			t.Fatal(e)
		}
		if got := r.Desync(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
