package http_test

import (
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// RFC 9112 section 9.3.2: responses come in the order of the requests, however
// many of these arrive at once.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	b := start(t, []string{server(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
	})})
	var request, want strings.Builder
	for i := range 30 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&request, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
			fmt.Fprintf(&want, "GET /%d ;", i)
		case 1:
			fmt.Fprintf(&request, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", i)
			fmt.Fprintf(&want, "POST /%d hello;", i)
		case 2:
			fmt.Fprintf(&request, "PUT /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", i)
			fmt.Fprintf(&want, "PUT /%d abc;", i)
		}
	}
	c := b.dial()
	c.write(request.String())
	var got strings.Builder
	for range 30 {
		_, body := c.read("GET")
		got.WriteString(body + ";")
	}
	if got.String() != want.String() {
		t.Errorf("got  %s\nwant %s", got.String(), want.String())
	}
}

// What lies behind a body that came in several reads is the next request.
func TestARequestBehindALargeBodyIsAnswered(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 4096)
	for name, first := range map[string]string{
		"Content-Length": fmt.Sprintf("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"chunked":        fmt.Sprintf("POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
	} {
		t.Run(name, func(t *testing.T) {
			address, got := recorder(t, ok)
			c := start(t, []string{address}).dial()
			c.write(first + "GET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			for range 3 {
				c.read("GET")
			}
			c.ended()
			if h := <-got; h.body != body {
				t.Errorf("the target got %d bytes, want %d", len(h.body), len(body))
			}
			for _, want := range []string{"GET /2 HTTP/1.1", "GET /3 HTTP/1.1"} {
				if h := <-got; h.line() != want {
					t.Errorf("the target got %q, want %q", h.line(), want)
				}
			}
		})
	}
}

// TCP keeps no boundaries: a message may come octet by octet.
func TestARequestMayArriveOctetByOctet(t *testing.T) {
	for name, request := range map[string]string{
		"no body":        "GET /path?q=1 HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n",
		"Content-Length": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
		"chunked":        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address, got := recorder(t, ok)
			c := start(t, []string{address}).dial()
			for range 2 {
				for i := range len(request) {
					c.write(request[i : i+1])
				}
				c.expect(ok)
				h := receive(t, got, "the request")
				if strings.HasPrefix(request, "POST") && h.body != "abc" {
					t.Errorf("body %q, want abc", h.body)
				}
				if name == "chunked" && h.trailer != "X-Sum: 1\r\n" {
					t.Errorf("trailer %q", h.trailer)
				}
			}
		})
	}
}

// RFC 9112 section 9.3.
func TestWhenAConnectionPersists(t *testing.T) {
	for _, tt := range []struct {
		name, head string
		last       bool
		connection string // of the answer
		persists   bool
	}{
		{name: "1.1", head: lines("GET / HTTP/1.1", "Host: h"), persists: true},
		{name: "1.1 close", head: lines("GET / HTTP/1.1", "Host: h", "Connection: close"), connection: "close"},
		{name: "1.1 CLOSE", head: lines("GET / HTTP/1.1", "Host: h", "Connection: x, CLOSE"), connection: "close"},
		{name: "1.1 keep-alive and close", head: lines("GET / HTTP/1.1", "Host: h", "Connection: keep-alive", "Connection: close"), connection: "close"},
		{name: "1.1 the last", head: lines("GET / HTTP/1.1", "Host: h"), last: true, connection: "close"},
		{name: "1.0", head: lines("GET / HTTP/1.0"), connection: "close"},
		{name: "1.0 keep-alive", head: lines("GET / HTTP/1.0", "Connection: Keep-Alive"), connection: "keep-alive", persists: true},
		{name: "1.0 keep-alive and close", head: lines("GET / HTTP/1.0", "Connection: keep-alive, close"), connection: "close"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, _ := recorder(t, ok)
			c := start(t, []string{address}, func(s *setup) { s.last = tt.last }).dial()
			c.write(tt.head)
			head := c.head()
			c.expect("ok")
			has := ""
			for l := range strings.SplitSeq(head, "\r\n") {
				if v, is := strings.CutPrefix(l, "Connection: "); is {
					has += v
				}
			}
			if has != tt.connection {
				t.Errorf("Connection is %q, want %q", has, tt.connection)
			}
			if tt.persists {
				c.exchange(get)
			}
			c.ended()
		})
	}
}

// RFC 9112 sections 9.3 and 6.3: which answers leave the connection to the
// target fit for another request. After the first answer come late bytes, if any.
func TestWhenATargetConnectionIsUsedAgain(t *testing.T) {
	for _, tt := range []struct {
		name, request, answer, late string
		again                       bool
	}{
		{name: "Content-Length", answer: ok, again: true},
		{name: "chunked", answer: lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\n0\r\n\r\n", again: true},
		{name: "204", answer: lines("HTTP/1.1 204 No Content"), again: true},
		{name: "304", answer: lines("HTTP/1.1 304 Not Modified", "Content-Length: 5"), again: true},
		{name: "HEAD", request: lines("HEAD / HTTP/1.1", "Host: h"), answer: lines("HTTP/1.1 200 OK", "Content-Length: 5"), again: true},
		{name: "HTTP/1.0 keep-alive", answer: lines("HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 0"), again: true},
		{name: "close", answer: lines("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 0")},
		{name: "HTTP/1.0", answer: lines("HTTP/1.0 200 OK", "Content-Length: 0")},
		{name: "204 that announces a body", answer: lines("HTTP/1.1 204 No Content", "Content-Length: 5")},
		{name: "bytes behind a body", answer: ok + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"},
		{name: "a byte behind a body", answer: ok + "\n"},
		{name: "a body behind HEAD", request: lines("HEAD / HTTP/1.1", "Host: h"), answer: ok},
		{name: "a body behind 304", answer: lines("HTTP/1.1 304 Not Modified") + ok},
		{name: "bytes behind the last chunk", answer: lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "0\r\n\r\n" + ok},
		{name: "a late answer that nobody asked for", answer: ok, late: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"},
		{name: "a late byte", answer: ok, late: "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conns, late, sent := make(chan int64, 8), make(chan bool), make(chan bool)
			var n atomic.Int64
			b := start(t, []string{target(t, func(conn net.Conn) {
				number, buf := n.Add(1), make([]byte, 4096)
				for i := 0; ; i++ {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					conns <- number
					if number > 1 || i > 0 {
						io.WriteString(conn, ok)
						continue
					}
					io.WriteString(conn, tt.answer)
					if tt.late != "" {
						<-late
						io.WriteString(conn, tt.late)
						sent <- true
					}
				}
			})})
			request := tt.request
			if request == "" {
				request = lines("GET / HTTP/1.1", "Host: h")
			}
			c := b.dial()
			c.exchange(request)
			if tt.late != "" {
				b.result() // the connection to the target is back
				late <- true
				<-sent // on loopback, what was written is there
			}
			if _, body := c.exchange(get); body != "ok" {
				t.Errorf("the second request was answered with %q", body)
			}
			first, second := <-conns, <-conns
			if (first == second) != tt.again {
				t.Errorf("connections %d and %d, want the same: %t", first, second, tt.again)
			}
		})
	}
}
