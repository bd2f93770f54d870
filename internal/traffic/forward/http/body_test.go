package http_test

import (
	"io"
	"net"
	"strings"
	"testing"
)

// RFC 9112 sections 6 and 7.1, RFC 9110 section 6.5.1: what the target gets of
// a request body. Chunks are framed anew; trailer fields that frame, route,
// authenticate or claim an identity do not arrive (T20).
func TestRequestBodies(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
	for _, tt := range []struct {
		name, request string
		framing       string // the field, as the target gets it
		body, trailer string
	}{
		{name: "none", request: lines("GET / HTTP/1.1", "Host: h")},
		{name: "Content-Length", request: lines("POST / HTTP/1.1", "Host: h", "Content-Length: 3") + "abc",
			framing: "Content-Length: 3", body: "abc"},
		{name: "Content-Length 0", request: lines("POST / HTTP/1.1", "Host: h", "Content-Length: 0"), framing: "Content-Length: 0"},
		{name: "Content-Length with zeros", request: lines("POST / HTTP/1.1", "Host: h", "Content-Length: 003") + "abc",
			framing: "Content-Length: 3", body: "abc"},
		{name: "Content-Length with GET", request: lines("GET / HTTP/1.1", "Host: h", "Content-Length: 3") + "abc",
			framing: "Content-Length: 3", body: "abc"},
		{name: "Content-Length from 1.0", request: lines("POST / HTTP/1.0", "Content-Length: 3") + "abc",
			framing: "Content-Length: 3", body: "abc"},
		{name: "chunked", request: chunked + "\r\n3\r\nabc\r\n0\r\n\r\n", framing: "Transfer-Encoding: chunked", body: "abc"},
		{name: "chunked with nothing in it", request: chunked + "\r\n0\r\n\r\n", framing: "Transfer-Encoding: chunked"},
		{name: "chunked in odd spellings", request: chunked + "\r\n0002\r\nab\r\n00000A\r\ncdefghijkl\r\n000\r\n\r\n",
			framing: "Transfer-Encoding: chunked", body: "abcdefghijkl"},
		{name: "extensions", request: chunked + "\r\n2;a=b\r\nab\r\n1 ; c=\"d;e\"\r\nc\r\n0;f\r\n\r\n",
			framing: "Transfer-Encoding: chunked", body: "abc"},
		{name: "trailer", request: chunked + "Trailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
			framing: "Transfer-Encoding: chunked", body: "a", trailer: "X-Sum: 1\r\nX-Other: 2\r\n"},
		{name: "trailer that claims an identity", request: chunked + "\r\n1\r\na\r\n0\r\n" +
			"X-Amzn-Mtls-Clientcert-Subject: CN=admin\r\nx_amzn_mtls_clientcert: x\r\nClient-Cert: :YQ==:\r\nX-SSL-Client-Verify: SUCCESS\r\n" +
			"X-Forwarded-Client-Cert: Hash=1\r\nSSL.Client.Cert: x\r\nX-Sum: 1\r\n\r\n",
			framing: "Transfer-Encoding: chunked", body: "a", trailer: "X-Sum: 1\r\n"},
		{name: "trailer that frames or routes", request: chunked + "\r\n1\r\na\r\n0\r\n" +
			"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: other\r\nContent_Length: 5\r\nContent-Encoding: gzip\r\nX-Sum: 1\r\n\r\n",
			framing: "Transfer-Encoding: chunked", body: "a", trailer: "X-Sum: 1\r\n"},
		{name: "trailer that authenticates", request: chunked + "\r\n1\r\na\r\n0\r\n" +
			"Authorization: Basic YQ==\r\nCookie: a=b\r\nX-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\nX-Sum: 1\r\n\r\n",
			framing: "Transfer-Encoding: chunked", body: "a", trailer: "X-Sum: 1\r\n"},
		{name: "trailer of the connection", request: chunked + "Connection: X-Hop\r\n\r\n1\r\na\r\n0\r\n" +
			"X-Hop: 1\r\nConnection: X-Sum\r\nKeep-Alive: 1\r\nTE: gzip\r\nUpgrade: h2c\r\nX-Sum: 1\r\n\r\n",
			framing: "Transfer-Encoding: chunked", body: "a", trailer: "X-Sum: 1\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, ok)
			c := start(t, []string{address}).dial()
			for range 2 { // nothing is left of a body when the next comes
				c.exchange(tt.request)
				h := receive(t, got, "the request")
				framing := ""
				for l := range strings.SplitSeq(h.head, "\r\n") {
					if strings.HasPrefix(l, "Content-Length") || strings.HasPrefix(l, "Transfer-Encoding") {
						framing += l
					}
				}
				if framing != tt.framing || h.body != tt.body || h.trailer != tt.trailer {
					t.Errorf("framing %q body %q trailer %q\nwant    %q body %q trailer %q", framing, h.body, h.trailer, tt.framing, tt.body, tt.trailer)
				}
				if strings.HasPrefix(tt.request, "POST / HTTP/1.0") {
					break
				}
			}
		})
	}
}

// RFC 9112 section 7.1: a fault in a chunked body is a fault of the message,
// wherever it shows. The target never gets a complete request.
func TestBadChunkedBodies(t *testing.T) {
	for name, body := range map[string]string{
		"no size":                      "\r\nabc\r\n0\r\n\r\n",
		"a size of letters":            "xyz\r\nabc\r\n0\r\n\r\n",
		"a negative size":              "-1\r\nabc\r\n0\r\n\r\n",
		"0x":                           "0x3\r\nabc\r\n0\r\n\r\n",
		"a size of 17 digits":          "10000000000000003\r\nabc\r\n0\r\n\r\n",
		"more data than the size":      "3\r\nabcd\r\n0\r\n\r\n",
		"bare LF behind the size":      "3\nabc\r\n0\r\n\r\n",
		"bare LF behind the data":      "3\r\nabc\n0\r\n\r\n",
		"bare LF behind the last size": "3\r\nabc\r\n0\n\r\n",
		"bare LF at the end":           "3\r\nabc\r\n0\r\n\n",
		"bare LF in an extension":      "3;a\nb\r\nabc\r\n0\r\n\r\n",
		"bare CR in an extension":      "3;a\rb\r\nabc\r\n0\r\n\r\n",
		"an endless extension":         "3;" + strings.Repeat("a", 8<<10) + "\r\nabc\r\n0\r\n\r\n",
		"a folded trailer":             "3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
		"a trailer without a name":     "3\r\nabc\r\n0\r\n: a\r\n\r\n",
	} {
		for _, when := range []string{"at once", "later"} {
			t.Run(name+" "+when, func(t *testing.T) {
				address, got := recorder(t, ok)
				b := start(t, []string{address})
				c := b.dial()
				c.write("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
				if when == "later" {
					c.write("1\r\nx\r\n")
				}
				c.write(body + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
				if resp, _ := c.read("POST"); resp.StatusCode != 400 || !resp.Close {
					t.Errorf("%s, close: %t", resp.Status, resp.Close)
				}
				c.ended()
				none(t, got, "the target got a whole request")
			})
		}
	}
}

// RFC 9112 sections 6.3, 7.1 and 9.3, RFC 9110 section 6.5: what the client gets
// of a response body, whatever way the target frames it.
func TestResponseBodies(t *testing.T) {
	const (
		date    = "Date: Sun, 22 Nov 2026 03:00:00 GMT\r\n"
		head    = "HTTP/1.1 200 OK\r\n" + date
		chunked = head + "Transfer-Encoding: chunked\r\n"
	)
	for _, tt := range []struct {
		name, answer, version, want string
		closes                      bool // the target
	}{
		{name: "Content-Length", answer: head + "Content-Length: 3\r\n\r\nabc", want: head + "Content-Length: 3\r\n\r\nabc"},
		{name: "Content-Length to 1.0", version: "1.0", answer: head + "Content-Length: 3\r\n\r\nabc",
			want: head + "Content-Length: 3\r\nConnection: close\r\n\r\nabc"},
		{name: "Content-Length 0", answer: head + "Content-Length: 0\r\n\r\n", want: head + "Content-Length: 0\r\n\r\n"},
		{name: "chunked", answer: chunked + "\r\n3\r\nabc\r\n0\r\n\r\n", want: chunked + "\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "chunked with nothing in it", answer: chunked + "\r\n0\r\n\r\n", want: chunked + "\r\n0\r\n\r\n"},
		{name: "extensions", answer: chunked + "\r\n0003;a=b\r\nabc\r\n00;c\r\n\r\n", want: chunked + "\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "trailer", answer: chunked + "\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n",
			want: chunked + "\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{name: "trailer that the connection names", answer: chunked + "Connection: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nX: 2\r\n\r\n",
			want: chunked + "\r\n3\r\nabc\r\n0\r\nX: 2\r\n\r\n"},
		{name: "chunked to 1.0", version: "1.0", answer: chunked + "\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 1\r\n\r\n",
			want: head + "Connection: close\r\n\r\nabc"},
		{name: "chunked to 1.0 keep-alive", version: "1.0 keep", answer: chunked + "\r\n3\r\nabc\r\n0\r\n\r\n",
			want: head + "Connection: close\r\n\r\nabc"},
		{name: "until close", closes: true, answer: head + "\r\nabc", want: chunked + "\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "until close, nothing", closes: true, answer: head + "\r\n", want: chunked + "\r\n0\r\n\r\n"},
		{name: "until close from 1.0", closes: true, answer: "HTTP/1.0 200 OK\r\n" + date + "\r\nabc", want: chunked + "\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "until close to 1.0", version: "1.0", closes: true, answer: head + "\r\nabc", want: head + "Connection: close\r\n\r\nabc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, []string{target(t, func(conn net.Conn) {
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					io.WriteString(conn, tt.answer)
					if tt.closes {
						return
					}
				}
			})})
			c := b.dial()
			switch tt.version {
			case "1.0":
				c.write(lines("GET / HTTP/1.0"))
			case "1.0 keep":
				c.write(lines("GET / HTTP/1.0", "Connection: keep-alive"))
			default:
				for range 2 {
					c.write(lines("GET / HTTP/1.1", "Host: h"))
					c.expect(tt.want)
				}
				return
			}
			c.expect(tt.want)
			c.ended()
		})
	}
}

// TCP keeps no boundaries on the target's side either.
func TestAResponseMayArriveOctetByOctet(t *testing.T) {
	for name, answer := range map[string]string{
		"Content-Length": ok,
		"chunked":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x\r\nk\r\n0\r\nX: y\r\n\r\n",
		"interim":        lines("HTTP/1.1 103 Early Hints", "Link: </a>") + ok,
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, []string{target(t, func(conn net.Conn) {
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					for i := range len(answer) {
						io.WriteString(conn, answer[i:i+1])
					}
				}
			})})
			c := b.dial()
			for range 2 {
				resp, body := c.exchange(lines("GET / HTTP/1.1", "Host: h"))
				if resp.StatusCode == 103 {
					_, body = c.read("GET")
				}
				if body != "ok" {
					t.Errorf("body %q", body)
				}
			}
		})
	}
}
