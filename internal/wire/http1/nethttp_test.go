package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The tests in this file hold the codec against net/http: what is accepted here
// is accepted there, and means the same. net/http is laxer (bare LF, folded
// lines, repeated Content-Length, any Host), so the reverse is not asked for.
//
// Known differences, each taken out before the comparison:
//   - A CRLF before a request is RFC 9112 section 2.2's; net/http knows none.
//   - Leading zeros of Content-Length are cut off here, and kept in the field there.
//   - net/http takes Host, Transfer-Encoding and Trailer out of the fields, the
//     last only of a chunked message, and adds Cache-Control to Pragma: no-cache.
//   - net/http refuses a Trailer field that names Content-Length,
//     Transfer-Encoding or Trailer; here such trailers are dropped.
//   - net/http takes Connection out of a response that closes.
//   - White space before a chunk extension is ignored here, as RFC 9112 section
//     7.1.1 has it; net/http refuses it.

// fieldsOf returns fields as net/http would hold them.
func fieldsOf(fields []Field) http.Header {
	h := http.Header{}
	for _, f := range fields {
		if f.Kind == Host || f.Kind == TransferEncoding || f.Kind == Trailer {
			continue
		}
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		h[name] = append(h[name], string(f.Value))
	}
	return h
}

// normalize takes the known differences out of h.
func normalize(h, ours http.Header) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	delete(h, "Host")
	delete(h, "Trailer")
	if ours["Cache-Control"] == nil && slices.Equal(ours["Pragma"][:min(1, len(ours["Pragma"]))], []string{"no-cache"}) {
		delete(h, "Cache-Control")
	}
	if v := h["Content-Length"]; len(v) == 1 {
		if n, err := strconv.ParseUint(v[0], 10, 63); err == nil {
			h["Content-Length"] = []string{strconv.FormatUint(n, 10)}
		}
	}
	return h
}

// badTrailer reports whether net/http refuses the message for its Trailer field.
func badTrailer(err error) bool {
	return err != nil && strings.Contains(err.Error(), "bad trailer key")
}

func agreeOnRequest(t rapid.TB, b []byte, r *Request, n int) {
	t.Helper()
	theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\r\n")))))
	if badTrailer(err) && r.HasTE {
		return
	}
	if err != nil {
		t.Fatalf("accepted: %q\nnet/http: %v", b[:n], err)
	}
	if theirs.Method != string(r.Method) || theirs.RequestURI != string(r.Target) || theirs.Host != string(r.Host) || theirs.ProtoMinor != r.Minor {
		t.Fatalf("%q: %s %s on %s, 1.%d; net/http: %s %s on %s, 1.%d", b[:n], r.Method, r.Target, r.Host, r.Minor,
			theirs.Method, theirs.RequestURI, theirs.Host, theirs.ProtoMinor)
	}
	if r.Path != nil {
		path, err := url.PathUnescape(string(r.Path))
		if theirs.URL.Path == "" {
			path = strings.Trim(path, "/*") // here the empty path of an absolute-form is "/" or "*"
		}
		if err != nil || path != theirs.URL.Path || string(r.Query) != theirs.URL.RawQuery || theirs.URL.ForceQuery != (r.HasQuery && len(r.Query) == 0) {
			t.Fatalf("%q: path %q, query %q; net/http: %q, %q", b[:n], r.Path, r.Query, theirs.URL.Path, theirs.URL.RawQuery)
		}
	}
	ours := fieldsOf(r.Fields)
	if diff := cmp.Diff(ours, normalize(theirs.Header, ours)); diff != "" {
		t.Fatalf("%q: fields here (-) and in net/http (+):\n%s", b[:n], diff)
	}
	if theirs.ContentLength != r.ContentLength || slices.Equal(theirs.TransferEncoding, []string{"chunked"}) != (r.Body == Chunked) {
		t.Fatalf("%q: %v %d; net/http: %v %d", b[:n], r.Body, r.ContentLength, theirs.TransferEncoding, theirs.ContentLength)
	}
	if theirs.Close && r.KeepAlive {
		t.Fatalf("%q: kept alive; net/http closes", b[:n])
	}
}

func agreeOnResponse(t rapid.TB, b []byte, r *Response, n int, method string) {
	t.Helper()
	theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: method})
	if badTrailer(err) && r.HasTE {
		return
	}
	if err != nil {
		t.Fatalf("accepted: %q\nnet/http: %v", b[:n], err)
	}
	delete(theirs.Header, "Connection")
	if theirs.StatusCode != r.Status || theirs.ProtoMinor != r.Minor {
		t.Fatalf("%q: %d, 1.%d; net/http: %d, 1.%d", b[:n], r.Status, r.Minor, theirs.StatusCode, theirs.ProtoMinor)
	}
	ours := fieldsOf(r.Fields)
	delete(ours, "Connection")
	if diff := cmp.Diff(ours, normalize(theirs.Header, ours)); diff != "" {
		t.Fatalf("%q: fields here (-) and in net/http (+):\n%s", b[:n], diff)
	}
	if method == http.MethodConnect && r.Status/100 == 2 {
		return // net/http leaves what follows to its Transport
	}
	length, chunked := theirs.ContentLength, slices.Equal(theirs.TransferEncoding, []string{"chunked"})
	switch r.Body {
	case Length:
		if length != r.ContentLength || chunked {
			t.Fatalf("%q: %d octets; net/http: %d, %v", b[:n], r.ContentLength, length, theirs.TransferEncoding)
		}
	case Chunked:
		if !chunked {
			t.Fatalf("%q: chunked; net/http: %d", b[:n], length)
		}
	case UntilClose:
		if length != -1 || chunked || !theirs.Close {
			t.Fatalf("%q: until close; net/http: %d, %v", b[:n], length, theirs.TransferEncoding)
		}
	case NoBody:
		if body, _ := io.ReadAll(theirs.Body); len(body) > 0 {
			t.Fatalf("%q: no body; net/http reads %q", b[:n], body)
		}
	}
	if theirs.Close && r.KeepAlive && r.Body != NoBody {
		t.Fatalf("%q: kept alive; net/http closes", b[:n])
	}
}

var spaceBeforeExtension = regexp.MustCompile(`[0-9A-Fa-f][ \t]+;`)

func agreeOnChunks(t rapid.TB, b []byte, d decoded) {
	t.Helper()
	if spaceBeforeExtension.Match(b) {
		return
	}
	in := append([]byte("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"), b...)
	theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(theirs.Body)
	if err != nil {
		t.Fatalf("accepted: %q\nnet/http: %v", b, err)
	}
	if string(data) != d.data {
		t.Fatalf("%q: %q; net/http: %q", b, d.data, data)
	}
	kept := 0
	for _, v := range theirs.Trailer {
		kept += len(v)
	}
	if ours := strings.Count(d.trailers, "="); kept < ours {
		t.Fatalf("%q: trailers %q; net/http: %v", b, d.trailers, theirs.Trailer)
	}
}

// TestAgreesWithNetHTTP generates heads near the edge of the grammar.
func TestAgreesWithNetHTTP(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(drawRequest(t))
		r, n, e := parseBoth(t, b, Limits{})
		if e == nil && n > 0 {
			accepted++
			agreeOnRequest(t, b, r, n)
		}
		b = []byte(drawResponse(t))
		method := rapid.SampledFrom([]string{"GET", "HEAD", "POST", "CONNECT"}).Draw(t, "request method")
		p, n, e := parseResponseBoth(t, b, Limits{}, method)
		if e == nil && n > 0 {
			accepted++
			agreeOnResponse(t, b, p, n, method)
		}
	})
	// A generator that only makes what is refused would compare nothing.
	if accepted < 20 {
		t.Errorf("only %d heads were accepted", accepted)
	}
	for _, s := range seeds() {
		if r, n, e := parseBoth(t, []byte(s), Limits{}); e == nil && n > 0 {
			agreeOnRequest(t, []byte(s), r, n)
		}
	}
	for _, s := range responseSeeds() {
		if r, n, e := parseResponseBoth(t, []byte(s), Limits{}, "GET"); e == nil && n > 0 {
			agreeOnResponse(t, []byte(s), r, n, "GET")
		}
	}
}

// mostly draws the first choice as a rule, so that one oddity at a time occurs.
func mostly(t *rapid.T, label string, choices ...string) string {
	if rapid.IntRange(0, 9).Draw(t, label+"?") > 0 {
		return choices[0]
	}
	return rapid.SampledFrom(choices).Draw(t, label)
}

func drawRequest(t *rapid.T) string {
	host := rapid.SampledFrom([]string{"h", "example.com:8443", "[2001:db8::1]:1", "EXAMPLE.com.", "10.0.0.1", "a_b~c"}).Draw(t, "host")
	target := rapid.SampledFrom([]string{"/", "/a/b", "/%41%00", "//x/y", "/a?b=c", "/?", "*", "http://" + host + "/p?q", "https://" + host,
		"http://" + host + "?q", host, "/a;b=c,d/../e", "/\"<>[]^`{|}\\", "/a#b", "/%4", "/:a@b", "/a?b?c%zz"}).Draw(t, "target")
	method := mostly(t, "method", "GET", "POST", "OPTIONS", "CONNECT", "get", "X!~", "PRI", "G T", "")
	s := mostly(t, "before", "", "\r\n", " ") + method + mostly(t, "space", " ", "  ", "\t") + target +
		mostly(t, "space", " ", "  ", "\t") + mostly(t, "version", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1", "HTTP/2.0", "") + drawEnd(t)
	if mostly(t, "Host", "yes", "no") == "yes" {
		s += "Host: " + mostly(t, "host", host, "other", "", "a,b", "u@h") + drawEnd(t)
	}
	return s + drawFields(t) + drawEnd(t)
}

func drawResponse(t *rapid.T) string {
	s := mostly(t, "version", "HTTP/1.1", "HTTP/1.0", "HTTP/2") + mostly(t, "space", " ", "  ") +
		rapid.SampledFrom([]string{"200", "204", "304", "100", "101", "999", "404", "20", "2000", "099"}).Draw(t, "status") +
		mostly(t, "reason", " OK", "", " ", " tr\xe8s bien", "OK", " \x00") + drawEnd(t)
	return s + drawFields(t) + drawEnd(t)
}

func drawFields(t *rapid.T) (s string) {
	for range rapid.IntRange(0, 5).Draw(t, "fields") {
		name := rapid.SampledFrom([]string{"Content-Length", "Transfer-Encoding", "Connection", "X-Some", "x-some", "Host", "Trailer", "Pragma",
			"Cache-Control", "Upgrade", "Expect", "Content_Length", "Set-Cookie", "!#$", "X Y", ""}).Draw(t, "name")
		var values []string
		switch name {
		case "Content-Length":
			values = []string{"5", "0", "005", "9223372036854775807", "9223372036854775808", "+5", "5,5", ""}
		case "Transfer-Encoding":
			values = []string{"chunked", "CHUNKED", "gzip", "gzip, chunked", "chunked, chunked", "\vchunked"}
		case "Connection":
			values = []string{"close", "keep-alive", "Upgrade, x", "x-some, Close", ",close,", "closed"}
		case "Expect":
			values = []string{"100-continue", "x"}
		default:
			values = []string{"a", "", " a b\t", "caf\xe9", "a\x00b", "a\rb", "no-cache", "x-some, Content-Length", "a: b"}
		}
		s += name + mostly(t, "colon", ": ", ":", ":\t", " :", "") + rapid.SampledFrom(values).Draw(t, "value") + drawEnd(t)
	}
	return s
}

func drawEnd(t *rapid.T) string {
	if rapid.IntRange(0, 49).Draw(t, "end?") > 0 {
		return "\r\n"
	}
	return rapid.SampledFrom([]string{"\n", "\r", "\r\r\n", "\r\n ", " \r\n"}).Draw(t, "end")
}
