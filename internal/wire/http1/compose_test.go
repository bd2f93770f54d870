package http1

import (
	"bytes"
	"testing"
)

// composed builds the fields of a head from name, value pairs.
func composed(pairs ...string) (fields []Field) {
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, Field{Name: []byte(pairs[i]), Value: []byte(pairs[i+1]), Kind: KindOf([]byte(pairs[i]))})
	}
	return fields
}

// opt makes "-" a part that is missing.
func opt(s string) []byte {
	if s == "-" {
		return nil
	}
	return []byte(s)
}

func TestRequestsOfHTTP2AreJudgedByTheRulesOfHTTP1(t *testing.T) {
	for _, tt := range []struct {
		name                            string
		method, scheme, authority, path string
		fields                          []Field
		ended                           bool
		status                          int // 0: accepted
		kind                            string
	}{
		{"plain", "GET", "https", "example.com", "/a?b", nil, true, 0, ""},
		{"host in place of the authority", "GET", "https", "-", "/", composed("host", "example.com"), true, 0, ""},
		{"host beside the same authority", "GET", "https", "Example.com:443", "/", composed("host", "example.COM:443"), true, 0, ""},
		{"host beside another authority", "GET", "https", "example.com", "/", composed("host", "example.org"), true, 400, BadHost},
		{"host twice", "GET", "https", "example.com", "/", composed("host", "example.com", "host", "example.com"), true, 400, BadHost},
		{"neither", "GET", "https", "-", "/", nil, true, 400, BadHost},
		{"an empty authority", "GET", "https", "", "/", nil, true, 400, BadHost},
		{"user information", "GET", "https", "me@example.com", "/", nil, true, 400, BadHost},
		{"a method that is no token", "G T", "https", "example.com", "/", nil, true, 400, BadMethod},
		{"another scheme", "GET", "ftp", "example.com", "/", nil, true, 400, BadURI},
		{"asterisk", "OPTIONS", "https", "example.com", "*", nil, true, 0, ""},
		{"asterisk with GET", "GET", "https", "example.com", "*", nil, true, 400, BadURI},
		{"no path", "GET", "https", "example.com", "-", nil, true, 400, BadURI},
		{"an empty path", "GET", "https", "example.com", "", nil, true, 400, BadURI},
		{"an absolute URI for a path", "GET", "https", "example.com", "https://example.com/", nil, true, 400, BadURI},
		{"a space in the path", "GET", "https", "example.com", "/a b", nil, true, 400, AmbiguousURI},
		{"a fragment", "GET", "https", "example.com", "/a#b", nil, true, 400, BadURI},
		{"a bad escape", "GET", "https", "example.com", "/%zz", nil, true, 400, BadURI},
		{"a length that is no number", "POST", "https", "example.com", "/", composed("content-length", "1x"), false, 400, BadContentLength},
		{"two lengths", "POST", "https", "example.com", "/", composed("content-length", "1", "content-length", "2"), false, 400, MultipleContentLength},
		{"a length without content", "POST", "https", "example.com", "/", composed("content-length", "1"), true, 400, BadContentLength},
		{"a transfer coding", "POST", "https", "example.com", "/", composed("transfer-encoding", "chunked"), false, 400, BadTransferEncoding},
		{"a name like content-length", "POST", "https", "example.com", "/", composed("content_length", "1"), false, 400, SuspiciousHeader},
		{"an expectation", "POST", "https", "example.com", "/", composed("expect", "miracles"), false, 417, BadExpect},
		{"connect", "CONNECT", "-", "example.com:443", "-", nil, false, 0, ""},
		{"connect without a port", "CONNECT", "-", "example.com", "-", nil, false, 400, BadURI},
		{"extended connect", "CONNECT", "https", "example.com", "/chat", nil, false, 0, ""},
	} {
		var r Request
		e := r.Compose([]byte(tt.method), opt(tt.scheme), opt(tt.authority), opt(tt.path), tt.fields, tt.ended)
		switch {
		case tt.status == 0 && e != nil:
			t.Errorf("%s: %v", tt.name, e)
		case tt.status != 0 && e == nil:
			t.Errorf("%s: accepted, expected %d %s", tt.name, tt.status, tt.kind)
		case e != nil && (e.Status != tt.status || e.Kind != tt.kind):
			t.Errorf("%s: %d %v, expected %d %s", tt.name, e.Status, e, tt.status, tt.kind)
		}
		if string(r.Method) != tt.method || !r.HTTP2 || r.Minor != 1 {
			t.Errorf("%s: method %q, HTTP2 %v, minor %d", tt.name, r.Method, r.HTTP2, r.Minor)
		}
	}
}

func TestAComposedRequestSaysWhatAParsedOneWould(t *testing.T) {
	var parsed, r Request
	head := "POST /a/b?c=d HTTP/1.1\r\nhost: example.com\r\ncontent-length: 007\r\nexpect: 100-continue\r\n\r\n"
	if _, err := parsed.Parse([]byte(head), Limits{}); err != nil {
		t.Fatal(err)
	}
	fields := composed("content-length", "007", "expect", "100-continue")
	if e := r.Compose([]byte("POST"), []byte("https"), []byte("example.com"), []byte("/a/b?c=d"), fields, false); e != nil {
		t.Fatal(e)
	}
	for _, tt := range []struct {
		what      string
		got, want []byte
	}{
		{"target", r.Target, parsed.Target}, {"path", r.Path, parsed.Path}, {"query", r.Query, parsed.Query},
		{"host", r.Host, parsed.Host}, {"length", Find(r.Fields, ContentLength).Value, Find(parsed.Fields, ContentLength).Value},
	} {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s is %q, parsed it is %q", tt.what, tt.got, tt.want)
		}
	}
	if r.Body != parsed.Body || r.ContentLength != 7 || r.ExpectContinue != parsed.ExpectContinue || r.KeepAlive != parsed.KeepAlive {
		t.Errorf("composed %v %d %v %v, parsed %v %d %v %v", r.Body, r.ContentLength, r.ExpectContinue, r.KeepAlive,
			parsed.Body, parsed.ContentLength, parsed.ExpectContinue, parsed.KeepAlive)
	}
}

func TestWhereTheContentOfAComposedMessageEnds(t *testing.T) {
	for _, tt := range []struct {
		name          string
		status        int // 0: a request
		requestMethod string
		fields        []Field
		ended         bool
		body          BodyKind
		length        int64
		refused       bool
	}{
		{"request without content", 0, "", nil, true, NoBody, 0, false},
		{"request of unknown length", 0, "", nil, false, Chunked, -1, false},
		{"request of known length", 0, "", composed("content-length", "3"), false, Length, 3, false},
		{"request of no length", 0, "", composed("content-length", "0"), false, NoBody, 0, false},
		{"response without content", 200, "GET", nil, true, NoBody, 0, false},
		{"response of unknown length", 200, "GET", nil, false, Chunked, -1, false},
		{"response of known length", 200, "GET", composed("content-length", "3"), false, Length, 3, false},
		{"response that lacks its content", 200, "GET", composed("content-length", "3"), true, 0, 0, true},
		{"response to HEAD", 200, "HEAD", composed("content-length", "3"), true, NoBody, 3, false},
		{"304", 304, "GET", composed("content-length", "3"), true, NoBody, 3, false},
		{"interim", 103, "GET", nil, false, NoBody, 0, false},
		{"interim with content", 103, "GET", composed("content-length", "3"), false, 0, 0, true},
		{"a status of two digits", 99, "GET", nil, true, 0, 0, true},
		{"a status of four digits", 1000, "GET", nil, true, 0, 0, true},
	} {
		var body BodyKind
		var length int64
		var e *Error
		if tt.status == 0 {
			var r Request
			e = r.Compose([]byte("POST"), []byte("https"), []byte("a"), []byte("/"), tt.fields, tt.ended)
			body, length = r.Body, r.ContentLength
		} else {
			var r Response
			e = r.Compose(tt.status, tt.fields, tt.ended, []byte(tt.requestMethod))
			body, length = r.Body, r.ContentLength
			if e != nil && e.Status != 502 {
				t.Errorf("%s: the status is %d, expected 502", tt.name, e.Status)
			}
		}
		if (e != nil) != tt.refused {
			t.Errorf("%s: %v", tt.name, e)
		} else if !tt.refused && (body != tt.body || length != tt.length) {
			t.Errorf("%s: %v of %d, expected %v of %d", tt.name, body, length, tt.body, tt.length)
		}
	}
}

func TestTrailersThatDecideSomethingAreDropped(t *testing.T) {
	kept := Trailers(composed("grpc-status", "0", "content-length", "3", "authorization", "x", "x-sum", "1", "transfer_encoding", "chunked"))
	if len(kept) != 2 || string(kept[0].Name) != "grpc-status" || string(kept[1].Name) != "x-sum" {
		t.Errorf("kept %q", kept)
	}
}

func TestAWarmRequestIsComposedWithoutAllocation(t *testing.T) {
	var r Request
	method, scheme, authority, path := []byte("GET"), []byte("https"), []byte("example.com"), []byte("/a/b?c")
	fields := composed("accept", "*/*", "user-agent", "x", "cookie", "a=b")
	if n := testing.AllocsPerRun(100, func() {
		if e := r.Compose(method, scheme, authority, path, fields, true); e != nil {
			t.Fatal(e)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
