package http_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
)

// heads2 is a target that tells each request, trailers with it, and answers with
// fields.
func heads2(t testing.TB, answer ...string) (address string, requests <-chan []frame) {
	told := make(chan []frame, 4096)
	return target2(t, func(p *peer) {
		for {
			f, err := p.next()
			if err != nil {
				return
			}
			if f.kind != h2.FrameHeaders {
				continue
			}
			all := []frame{f}
			if !f.end {
				rest, body, err := p.message(f.id)
				if err != nil {
					continue
				}
				all = append(all, rest...)
				all[len(all)-1].body = body
			}
			told <- all
			if len(answer) == 0 {
				answer2(p, f.id)
			} else {
				p.head(f.id, true, answer...)
			}
		}
	}), told
}

// list is a section as lines, but for those that differ from run to run.
func (f frame) list() (lines []string) {
	for _, fl := range f.fields {
		lines = append(lines, fl.Name+": "+fl.Value)
	}
	return lines
}

// What a client says over HTTP/1.1 as a target hears it over HTTP/2 (RFC 9113
// section 8): names in lower case, no field that concerns a connection, no
// identity but the one that was found.
func TestARequestFromHTTP1ToHTTP2(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		want          []string
	}{
		{"fields", lines("GET /a?b=%20 HTTP/1.1", "Host: Example.com:8443", "X-Upper: Value", "Accept: */*", "Cookie: a=1", "Cookie: b=2",
			"Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: 1", "Proxy-Connection: x", "Proxy-Authorization: secret", "TE: trailers, deflate;q=0.5", "Upgrade: h2c", "HTTP2-Settings: AAA",
			"X-Amzn-Mtls-Clientcert-Subject: CN=forged", "x_amzn_mtls_clientcert_leaf: forged", "X.Amzn.Mtls.Clientcert.Serial.Number: 1", "X-Forwarded-For: 10.0.0.1"),
			[]string{":method: GET", ":scheme: http", ":authority: Example.com:8443", ":path: /a?b=%20", "x-upper: Value", "accept: */*", "cookie: a=1", "cookie: b=2",
				"te: trailers", "http2-settings: AAA", "x-amzn-mtls-clientcert-subject: CN=test", "x-forwarded-for: 10.0.0.1, 192.0.2.7", "x-forwarded-proto: https", "x-forwarded-port: 8443"}},
		{"absolute form", lines("GET http://example.com HTTP/1.1", "Host: example.com", "Connection: close"),
			[]string{":method: GET", ":scheme: http", ":authority: example.com", ":path: /"}},
		{"OPTIONS *", lines("OPTIONS * HTTP/1.1", "Host: example.com", "Connection: close"),
			[]string{":method: OPTIONS", ":scheme: http", ":authority: example.com", ":path: *"}},
		{"HTTP/1.0", lines("GET / HTTP/1.0"), []string{":method: GET", ":scheme: http", ":authority: LOCAL", ":path: /"}},
		{"a length", lines("POST / HTTP/1.1", "Host: h", "Connection: close", "Content-Length: 003") + "abc",
			[]string{":method: POST", ":scheme: http", ":authority: h", ":path: /", "content-length: 3"}},
		{"an empty body", lines("POST / HTTP/1.1", "Host: h", "Connection: close", "Content-Length: 0"),
			[]string{":method: POST", ":scheme: http", ":authority: h", ":path: /", "content-length: 0"}},
		{"chunks and trailers", lines("POST / HTTP/1.1", "Host: h", "Connection: close", "Transfer-Encoding: chunked", "Trailer: X-Sum") +
			"3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\nX_Amzn_Mtls_Clientcert_Leaf: forged\r\nContent-Length: 7\r\nConnection: x\r\n\r\n",
			[]string{":method: POST", ":scheme: http", ":authority: h", ":path: /", "trailer: X-Sum", "-", "x-sum: 1"}},
		{"trailers that do not pass", lines("POST / HTTP/1.1", "Host: h", "Connection: close", "Transfer-Encoding: chunked") +
			"0\r\nX-Amzn-Mtls-Clientcert: forged\r\n\r\n",
			[]string{":method: POST", ":scheme: http", ":authority: h", ":path: /"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := heads2(t)
			b := start(t, []string{address}, pair{v1, v2}.setup)
			if answer := b.send(tt.request); !strings.HasPrefix(answer, "HTTP/1.1 200 OK\r\n") {
				t.Fatalf("%q", answer)
			}
			all := receive(t, got, "the request")
			have := all[0].list()
			for _, trailers := range all[1:] {
				have = append(append(have, "-"), trailers.list()...)
			}
			want := tt.want
			if !slices.Contains(want, "x-forwarded-port: 8443") {
				appended := []string{"x-amzn-mtls-clientcert-subject: CN=test", "x-forwarded-for: 192.0.2.7", "x-forwarded-proto: https", "x-forwarded-port: 8443"}
				at := len(want)
				for i, l := range want {
					if strings.HasPrefix(l, "content-length") || l == "-" {
						at = i
					}
				}
				want = slices.Insert(slices.Clone(want), at, appended...)
			}
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], "LOCAL", b.address)
			}
			if !slices.Equal(have, want) {
				t.Errorf("the target got\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// What a client says over HTTP/2 as a target hears it over HTTP/1.1.
func TestARequestFromHTTP2ToHTTP1(t *testing.T) {
	const forwarded = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n"
	pseudo := func(method, authority, path string, fields ...string) []string {
		return append([]string{":method", method, ":scheme", "https", ":authority", authority, ":path", path}, fields...)
	}
	for _, tt := range []struct {
		name    string
		fields  []string
		body    string // "": none
		trailer []string
		want    heard
	}{
		{name: "fields", fields: pseudo("GET", "Example.com:8443", "/a?b=%20", "x-lower", "Value", "cookie", "a=1", "accept", "*/*", "cookie", "b=2", "te", "trailers",
			"x-amzn-mtls-clientcert-subject", "CN=forged", "x_amzn_mtls_clientcert_leaf", "forged", "x.amzn.mtls.clientcert", "forged", "proxy-authorization", "secret",
			"sec-websocket-key", "x", "x-forwarded-proto", "http"),
			want: heard{head: "GET /a?b=%20 HTTP/1.1\r\nHost: Example.com:8443\r\nx-lower: Value\r\ncookie: a=1; b=2\r\naccept: */*\r\n" + identity + forwarded + "\r\n"}},
		{name: "host", fields: []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "example.com"},
			want: heard{head: "GET / HTTP/1.1\r\nHost: example.com\r\n" + identity + forwarded + "\r\n"}},
		{name: "host twice", fields: pseudo("GET", "example.com", "/", "host", "EXAMPLE.com"),
			want: heard{head: "GET / HTTP/1.1\r\nHost: example.com\r\n" + identity + forwarded + "\r\n"}},
		{name: "OPTIONS *", fields: pseudo("OPTIONS", "h", "*"), want: heard{head: "OPTIONS * HTTP/1.1\r\nHost: h\r\n" + identity + forwarded + "\r\n"}},
		{name: "a POST without content", fields: pseudo("POST", "h", "/"), want: heard{head: "POST / HTTP/1.1\r\nHost: h\r\n" + identity + forwarded + "Content-Length: 0\r\n\r\n"}},
		{name: "a length", fields: pseudo("POST", "h", "/", "content-length", "3"), body: "abc",
			want: heard{head: "POST / HTTP/1.1\r\nHost: h\r\n" + identity + forwarded + "Content-Length: 3\r\n\r\n", body: "abc"}},
		{name: "trailers", fields: pseudo("POST", "h", "/", "trailer", "x-sum"), body: "abc",
			trailer: []string{"x-sum", "1", "x_amzn_mtls_clientcert_leaf", "forged", "content-length", "7", "host", "evil"},
			want:    heard{head: "POST / HTTP/1.1\r\nHost: h\r\ntrailer: x-sum\r\n" + identity + forwarded + "Transfer-Encoding: chunked\r\n\r\n", body: "abc", trailer: "x-sum: 1\r\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, ok)
			p := start(t, []string{address}, pair{v2, v1}.setup).dial2()
			p.head(1, tt.body == "", tt.fields...)
			if tt.body != "" {
				p.data(1, tt.trailer == nil, tt.body)
			}
			if tt.trailer != nil {
				p.head(1, true, tt.trailer...)
			}
			heads, body, err := p.message(1)
			if err != nil || body != "ok" || len(heads) != 1 || !slices.Equal(heads[0].list(), []string{":status: 200", "date: Sun, 22 Nov 2026 03:00:00 GMT", "content-length: 2"}) {
				t.Errorf("%v %q, %v", heads, body, err)
			}
			h := receive(t, got, "the request")
			h.conn = 0
			if h != tt.want {
				t.Errorf("the target got\n%+q\nwant\n%+q", []string{h.head, h.body, h.trailer}, []string{tt.want.head, tt.want.body, tt.want.trailer})
			}
		})
	}
}

// Requests that are none are not forwarded. What breaks the rules of HTTP/2
// itself is answered by a reset (RFC 9113 section 8.1.1), the rest as over
// HTTP/1.1.
func TestWhatIsNoRequestOverHTTP2(t *testing.T) {
	with := func(fields ...string) []string { return append(slices.Clone(get2), fields...) }
	for _, tt := range []struct {
		name   string
		fields []string
		status int // 0: a reset
		code   countersign.Code
	}{
		{"Connection", with("connection", "close"), 0, countersign.BadRequest},
		{"Transfer-Encoding", with("transfer-encoding", "chunked"), 0, countersign.BadRequest},
		{"TE", with("te", "gzip"), 0, countersign.BadRequest},
		{"a line break in a value", with("x", "a\r\nhost: evil"), 0, countersign.BadRequest},
		{"a space around a value", with("x", " a"), 0, countersign.BadRequest},
		{"a line break in the path", []string{":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/ HTTP/1.1\r\nX: y"}, 0, countersign.BadRequest},
		{"a space in the path", []string{":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/a b"}, 400, countersign.BadRequest},
		{"a space in the method", []string{":method", "GET /", ":scheme", "https", ":authority", "h", ":path", "/"}, 400, countersign.BadRequest},
		{"no path", []string{":method", "GET", ":scheme", "https", ":authority", "h"}, 0, countersign.BadRequest},
		{"no host", []string{":method", "GET", ":scheme", "https", ":path", "/"}, 400, countersign.BadRequest},
		{"two hosts", with("host", "evil"), 400, countersign.BadRequest},
		{"a userinfo", []string{":method", "GET", ":scheme", "https", ":authority", "u@h", ":path", "/"}, 400, countersign.BadRequest},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "h:443"}, 405, countersign.MethodNotAllowed},
		{"TRACE", []string{":method", "TRACE", ":scheme", "https", ":authority", "h", ":path", "/"}, 405, countersign.MethodNotAllowed},
		{"another protocol", []string{":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "https", ":authority", "h", ":path", "/"}, 501, countersign.NotImplemented},
		{"an expectation", with("expect", "200-ok"), 417, countersign.ExpectationFailed},
		{"content_length", with("content_length", "3"), 400, countersign.BadRequest},
		{"two lengths", with("content-length", "3", "content-length", "4"), 0, countersign.BadRequest},
		{"a large field", with("x", strings.Repeat("~", 17<<10)), 431, countersign.HeadersTooLarge},
		{"a long path", []string{":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/" + strings.Repeat("~", 17<<10)}, 414, countersign.TargetTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, ok)
			b := start(t, []string{address}, pair{v2, v1}.setup)
			p := b.dial2()
			p.head(1, true, tt.fields...)
			a := p.answered(1)
			if a.status != tt.status || (a.err != nil) != (tt.status == 0) || tt.status != 0 && !strings.Contains(a.body, string(tt.code)) {
				t.Errorf("%+v, want %d %s", a, tt.status, tt.code)
			}
			b.refused(tt.code)
			p.head(3, true, get2...) // the connection goes on
			if a := p.answered(3); a.status != 200 {
				t.Errorf("the next request: %+v", a)
			}
			receive(t, got, "the next request")
			none(t, got, "a target heard of it")
		})
	}
}

// What a target says over one version as a client hears it over the other.
func TestAnAnswerFromOneVersionToTheOther(t *testing.T) {
	t.Run("HTTP1 to HTTP2", func(t *testing.T) {
		for _, tt := range []struct {
			name, answer string
			want         []string
			body         string
		}{
			{"fields", lines("HTTP/1.1 200 Fine", date, "X-Upper: V", "Set-Cookie: a=1", "Set-Cookie: b=2", "Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: 1", "Proxy-Authenticate: x", "Vary: Cookie", "Content-Length: 2") + "ok",
				[]string{":status: 200", "date: Sun, 22 Nov 2026 03:00:00 GMT", "x-upper: V", "set-cookie: a=1", "set-cookie: b=2", "vary: Cookie", "content-length: 2"}, "ok"},
			{"until close", lines("HTTP/1.0 200 OK", date) + "ok", []string{":status: 200", "date: Sun, 22 Nov 2026 03:00:00 GMT"}, "ok"},
			{"chunks and trailers", lines("HTTP/1.1 200 OK", date, "Transfer-Encoding: chunked") + "2;x=y\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\n\r\n",
				[]string{":status: 200", "date: Sun, 22 Nov 2026 03:00:00 GMT", "-", "x-sum: 1"}, "ok"},
			{"nothing", lines("HTTP/1.1 204 No Content", date), []string{":status: 204", "date: Sun, 22 Nov 2026 03:00:00 GMT"}, ""},
			{"304", lines("HTTP/1.1 304 Not Modified", date, "Content-Length: 5"), []string{":status: 304", "date: Sun, 22 Nov 2026 03:00:00 GMT", "content-length: 5"}, ""},
			{"an empty body", lines("HTTP/1.1 200 OK", date, "Content-Length: 0"), []string{":status: 200", "date: Sun, 22 Nov 2026 03:00:00 GMT", "content-length: 0"}, ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b := start(t, []string{target(t, func(conn net.Conn) {
					conn.Read(make([]byte, 4096))
					conn.Write([]byte(tt.answer))
				})}, pair{v2, v1}.setup)
				p := b.dial2()
				p.head(1, true, get2...)
				heads, body, err := p.message(1)
				var have []string
				for i, h := range heads {
					if i > 0 {
						have = append(have, "-")
					}
					have = append(have, h.list()...)
				}
				if err != nil || body != tt.body || !slices.Equal(have, tt.want) {
					t.Errorf("%v %q, %v; want %v %q", have, body, err, tt.want, tt.body)
				}
			})
		}
	})
	const dated = "date: Sun, 22 Nov 2026 03:00:00 GMT"
	t.Run("HTTP2 to HTTP1", func(t *testing.T) {
		for _, tt := range []struct {
			name, request, want string
			answer              func(p *peer)
		}{
			{"fields", get, lines("HTTP/1.1 200 OK", "x-lower: v", "set-cookie: a=1", "set-cookie: b=2", dated, "Content-Length: 2", "Connection: close") + "ok", func(p *peer) {
				p.head(1, false, ":status", "200", "x-lower", "v", "set-cookie", "a=1", "set-cookie", "b=2", "proxy-authenticate", "x", "date", date[6:], "content-length", "2")
				p.data(1, true, "ok")
			}},
			{"an unknown length", get, lines("HTTP/1.1 200 OK", dated, "Transfer-Encoding: chunked", "Connection: close") + "2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n", func(p *peer) {
				p.head(1, false, ":status", "200", "date", date[6:])
				p.data(1, false, "ok")
				p.head(1, true, "x-sum", "1", "content-length", "7")
			}},
			{"an unknown length to HTTP/1.0", lines("GET / HTTP/1.0"), lines("HTTP/1.1 200 OK", dated, "Connection: close") + "ok", func(p *peer) {
				p.head(1, false, ":status", "103")
				p.head(1, false, ":status", "200", "date", date[6:])
				p.data(1, false, "ok")
				p.head(1, true, "x-sum", "1")
			}},
			// RFC 9112 section 6.3: without a length it would last until the connection ends.
			{"nothing", lines("GET / HTTP/1.1", "Host: h"), lines("HTTP/1.1 200 OK", dated, "Content-Length: 0"), func(p *peer) {
				p.head(1, true, ":status", "200", "date", date[6:])
			}},
			{"nothing to HTTP/1.0", lines("GET / HTTP/1.0", "Connection: keep-alive"), lines("HTTP/1.1 200 OK", dated, "Content-Length: 0", "Connection: keep-alive"), func(p *peer) {
				p.head(1, true, ":status", "200", "date", date[6:])
			}},
			{"nothing to HEAD", lines("HEAD / HTTP/1.1", "Host: h"), lines("HTTP/1.1 200 OK", dated), func(p *peer) {
				p.head(1, true, ":status", "200", "date", date[6:])
			}},
			{"a length to HEAD", lines("HEAD / HTTP/1.1", "Host: h"), lines("HTTP/1.1 200 OK", "content-length: 5", dated), func(p *peer) {
				p.head(1, true, ":status", "200", "content-length", "5", "date", date[6:])
			}},
			{"204", lines("GET / HTTP/1.1", "Host: h"), lines("HTTP/1.1 204 No Content", dated), func(p *peer) {
				p.head(1, true, ":status", "204", "date", date[6:])
			}},
			{"304", lines("GET / HTTP/1.1", "Host: h"), lines("HTTP/1.1 304 Not Modified", dated), func(p *peer) {
				p.head(1, true, ":status", "304", "date", date[6:])
			}},
			{"a status without a name", lines("GET / HTTP/1.1", "Host: h"), lines("HTTP/1.1 299 ", dated, "Content-Length: 0"), func(p *peer) {
				p.head(1, true, ":status", "299", "date", date[6:])
			}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b := start(t, []string{target2(t, func(p *peer) {
					p.next()
					tt.answer(p)
					p.next()
				})}, pair{v1, v2}.setup)
				c := b.dial()
				c.write(tt.request)
				c.expect(tt.want)
				if res := b.result(); res.Denial != nil {
					t.Error(res.Denial)
				}
				if res := fmt.Sprint(c.r.Buffered()); res != "0" {
					t.Errorf("%s bytes behind it", res)
				}
			})
		}
	})
}
