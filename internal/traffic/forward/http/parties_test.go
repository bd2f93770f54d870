package http_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ok is the plainest answer there is; with its Date the engine adds nothing.
const ok = "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 03:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"

// get is a request that asks for the connection to be closed behind it.
const get = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

// lines joins the lines of a head.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

// target serves each connection with handle until the test ends.
func target(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	ln := listen(t)
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return ln.Addr().String()
}

// server is a target that net/http serves.
func server(t testing.TB, handle nethttp.HandlerFunc) string {
	t.Helper()
	ln := listen(t)
	s := &nethttp.Server{Handler: handle}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String()
}

// A heard is one request as a target got it.
type heard struct {
	head    string // as it came
	body    string // without its framing
	trailer string // as it came, without the empty line
	conn    int    // the number of the connection, from 1
}

// line returns the request line.
func (h heard) line() string { l, _, _ := strings.Cut(h.head, "\r\n"); return l }

// fields returns the values of a field, name compared as it came.
func (h heard) fields(name string) (values []string) {
	for l := range strings.SplitSeq(h.head, "\r\n") {
		if v, is := strings.CutPrefix(l, name+": "); is {
			values = append(values, v)
		}
	}
	return values
}

// recorder is a target that reads whole requests, one after the other, and
// answers each with the next of answers, the last one again and again. After an
// empty answer it closes the connection.
func recorder(t testing.TB, answers ...string) (address string, got <-chan heard) {
	t.Helper()
	seen := make(chan heard, 4096)
	var mu sync.Mutex
	conns, served := 0, 0
	next := func() string {
		mu.Lock()
		defer mu.Unlock()
		served++
		return answers[min(served, len(answers))-1]
	}
	address = target(t, func(conn net.Conn) {
		mu.Lock()
		conns++
		number := conns
		mu.Unlock()
		r := bufio.NewReader(conn)
		for {
			h, err := readRequest(r)
			if err != nil {
				return
			}
			h.conn = number
			seen <- h
			answer := next()
			if answer == "" {
				return
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
	return address, seen
}

// readRequest reads one request as a server would that trusts its peer.
func readRequest(r *bufio.Reader) (h heard, err error) {
	if h.head, err = readHead(r); err != nil {
		return h, err
	}
	fields, err := textproto.NewReader(bufio.NewReader(strings.NewReader(h.head[len(h.line())+2:]))).ReadMIMEHeader()
	if err != nil {
		return h, err
	}
	var body []byte
	switch length := fields.Get("Content-Length"); {
	case fields.Get("Transfer-Encoding") != "":
		if body, err = io.ReadAll(httputil.NewChunkedReader(r)); err == nil {
			h.trailer, err = readHead(r)
			h.trailer = strings.TrimSuffix(h.trailer, "\r\n")
		}
	case length != "":
		n, e := strconv.Atoi(length)
		if e != nil {
			return h, e
		}
		body = make([]byte, n)
		_, err = io.ReadFull(r, body)
	}
	h.body = string(body)
	return h, err
}

// readHead reads up to and including the next empty line.
func readHead(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String(), err
		}
		if line == "\r\n" {
			return b.String(), nil
		}
	}
}

// A client is a connection to the engine.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// dial connects to the engine.
func (b *bench) dial() *client {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	b.t.Cleanup(func() { conn.Close() })
	return &client{Conn: conn, t: b.t, r: bufio.NewReader(conn)}
}

// tcp returns the connection for what TCP alone can do.
func (c *client) tcp() *net.TCPConn { return c.Conn.(*net.TCPConn) }

// write sends all of s in one segment, if it is small.
func (c *client) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("writing %.60q: %v", s, err)
	}
}

// read reads one response to a request with that method, the body with it.
func (c *client) read(method string) (*nethttp.Response, string) {
	c.t.Helper()
	resp, err := nethttp.ReadResponse(c.r, &nethttp.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading the response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading the body behind %s %v: %v, after %.100q", resp.Status, resp.Header, err, body)
	}
	return resp, string(body)
}

// head reads a response head as it comes.
func (c *client) head() string {
	c.t.Helper()
	head, err := readHead(c.r)
	if err != nil {
		c.t.Fatalf("reading a head: %v, after %q", err, head)
	}
	return head
}

// expect demands that these very bytes come next.
func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
		c.t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

// exchange sends a request and reads the response to it.
func (c *client) exchange(request string) (*nethttp.Response, string) {
	c.t.Helper()
	c.write(request)
	method, _, _ := strings.Cut(request, " ")
	return c.read(method)
}

// ended demands that the engine ends the connection without another byte.
func (c *client) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Errorf("at the end of the connection: %.200q, %v", rest, err)
	}
}

// rest reads everything up to the end of the connection, however it ends.
func (c *client) rest() (string, error) {
	b, err := io.ReadAll(c.r)
	if ne, is := errors.AsType[net.Error](err); is && ne.Timeout() {
		c.t.Errorf("the connection does not end, after %.200q", b)
	}
	return string(b), err
}

// send writes a request and returns everything that comes back until the engine
// closes the connection, which the request should ask for.
func (b *bench) send(request string) string {
	b.t.Helper()
	c := b.dial()
	c.write(request)
	answer, err := c.rest()
	if err != nil {
		b.t.Fatalf("after %q: %v", answer, err)
	}
	return answer
}

// echoPath answers with the path of the request.
func echoPath(w nethttp.ResponseWriter, r *nethttp.Request) { io.WriteString(w, r.URL.Path) }
