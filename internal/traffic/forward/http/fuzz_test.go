package http_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/wire/http1"
)

// A meant request is what the octets of a client say.
type meant struct {
	method, target, host, body string
}

// meaning reads requests from in as a party would that has all of it at once and
// does nothing but read. next is the method of what follows and is no whole
// request, as far as it can be told.
func meaning(in []byte, limits http1.Limits) (requests []meant, next string) {
	for len(in) > 0 {
		var q http1.Request
		n, err := q.Parse(in, limits)
		if err != nil {
			return requests, string(q.Method)
		}
		m := meant{method: string(q.Method), target: string(q.Path), host: string(q.Host)}
		if q.HasQuery {
			m.target += "?" + string(q.Query)
		}
		keep := q.KeepAlive
		in = in[n:]
		switch q.Body {
		case http1.Length:
			if q.ContentLength > int64(len(in)) {
				return requests, m.method
			}
			m.body, in = string(in[:q.ContentLength]), in[q.ContentLength:]
		case http1.Chunked:
			var c http1.Chunks
			for done := false; !done; {
				data, n, end, err := c.Next(in)
				if err != nil || n == 0 && !end {
					return requests, m.method
				}
				m.body, in, done = m.body+string(data), in[n:], end
			}
		}
		requests = append(requests, m)
		if !keep {
			break
		}
	}
	return requests, ""
}

// FuzzExchange sends what a client may send. Whatever it is: the connection
// ends; the target sees well-formed requests only, which are what the octets
// say, in this order, from the first on; the answers are well-formed.
func FuzzExchange(f *testing.F) {
	for _, seed := range []string{
		get, wsRequest,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + get,
		"PUT /?q HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2;a=b\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\nClient-Cert: z\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET /x",
		"HEAD http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: 1\r\nConnection: Host, X-A\r\nX-A: 1\r\n\r\nTRACE / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\nHost: h\n\n", "\x16\x03\x01", "",
	} {
		f.Add([]byte(seed))
	}
	address, got := recorder(f, ok)
	b := start(f, []string{address}, func(s *setup) { s.set.Body = 1 << 20 })
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 64<<10 {
			return
		}
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(in)
		conn.(*net.TCPConn).CloseWrite()

		want, next := meaning(in, b.set.Request)
		r, answers := bufio.NewReader(conn), 0
		for {
			if _, err := r.Peek(1); err != nil {
				if err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
					t.Fatalf("the connection does not end: %v", err)
				}
				break
			}
			method := next
			if answers < len(want) {
				method = want[answers].method
			}
			resp, err := nethttp.ReadResponse(r, &nethttp.Request{Method: method})
			if err != nil {
				t.Fatalf("answer %d is not well-formed: %v", answers, err)
			}
			io.Copy(io.Discard, resp.Body)
			answers++
		}
		var requests []heard
		for len(got) > 0 {
			requests = append(requests, <-got)
		}
		if len(requests) > len(want) {
			t.Fatalf("the target saw %d requests, the client sent %d", len(requests), len(want))
		}
		for i, h := range requests {
			r, err := nethttp.ReadRequest(bufio.NewReader(strings.NewReader(h.head)))
			if err != nil && !strings.Contains(err.Error(), "parse ") { // net/url has opinions of its own
				t.Fatalf("the target got a request that is not well-formed: %q: %v", h.head, err)
			}
			w := want[i]
			if h.line() != w.method+" "+w.target+" HTTP/1.1" || h.body != w.body {
				t.Errorf("request %d was %q with body %q, the client sent %+v", i, h.line(), h.body, w)
			}
			if err == nil && w.host != "" && r.Host != w.host {
				t.Errorf("request %d was for %q, the client sent %+v", i, r.Host, w)
			}
			if strings.Count(h.head, identity) != 1 || strings.Count(strings.ToLower(h.head), "\r\nhost:") != 1 {
				t.Errorf("request %d: %q", i, h.head)
			}
		}
		if answers < len(requests) {
			t.Errorf("%d answers to %d requests", answers, len(requests))
		}
	})
}
