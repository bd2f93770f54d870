package http_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"testing"
)

// A pair says which version of HTTP the client speaks, and which the target.
type pair struct{ client, target string }

const (
	v1 = "HTTP/1.1"
	v2 = "HTTP/2"
)

// eachPair runs a test for all four.
func eachPair(t *testing.T, test func(t *testing.T, p pair)) {
	for _, p := range []pair{{v1, v1}, {v1, v2}, {v2, v1}, {v2, v2}} {
		t.Run(strings.ReplaceAll(p.client+" to "+p.target, "/", ""), func(t *testing.T) { test(t, p) })
	}
}

// setup has a bench stand between the two.
func (p pair) setup(s *setup) {
	s.http2 = p.client == v2
	if p.target == v2 {
		s.group.Protocol = "h2"
	}
}

// start serves a target of net/http's, and returns a client of net/http's.
func (p pair) start(t testing.TB, handle nethttp.HandlerFunc, changes ...func(*setup)) (*bench, *nethttp.Client) {
	t.Helper()
	b := start(t, []string{goServer(t, p.target, handle)}, append(changes, p.setup)...)
	return b, b.goClient(p.client)
}

// only is a net/http that speaks one version, HTTP/2 with prior knowledge.
func only(version string) *nethttp.Protocols {
	var p nethttp.Protocols
	p.SetHTTP1(version == v1)
	p.SetUnencryptedHTTP2(version == v2)
	return &p
}

// goServer is a target that net/http serves.
func goServer(t testing.TB, version string, handle nethttp.HandlerFunc) string {
	t.Helper()
	ln := listen(t)
	var running sync.WaitGroup
	s := &nethttp.Server{Handler: handle, Protocols: only(version), ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state nethttp.ConnState) {
			switch state {
			case nethttp.StateNew:
				running.Add(1)
			case nethttp.StateClosed, nethttp.StateHijacked:
				running.Done()
			}
		}}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done; running.Wait() })
	return ln.Addr().String()
}

// goClient is net/http's client. Whatever it asks for, it asks the bench.
func (b *bench) goClient(version string) *nethttp.Client {
	tr := &nethttp.Transport{Protocols: only(version), DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, b.address)
			if err == nil {
				b.t.Cleanup(func() { conn.Close() }) // idle or not
			}
			return conn, err
		}}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &nethttp.Client{Transport: tr, Timeout: patience}
}

// do sends a request and reads the whole answer.
func do(t testing.TB, c *nethttp.Client, q *nethttp.Request) (*nethttp.Response, string) {
	t.Helper()
	resp, err := c.Do(q)
	if err != nil {
		t.Fatalf("%s %s: %v", q.Method, q.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("the body behind %s %v: %v, after %.100q", resp.Status, resp.Header, err, body)
	}
	return resp, string(body)
}

// request makes a request for a host that is h.
func request(t testing.TB, method, path string, body io.Reader) *nethttp.Request {
	t.Helper()
	q, err := nethttp.NewRequestWithContext(t.Context(), method, "http://h"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// unsized hides how long a body is.
type unsized struct{ io.Reader }

// An answered request is what a client has of the answer: err is how it broke off.
type answered struct {
	status int
	body   string
	err    error
}

// ask sends a GET as plainly as can be, on a connection of its own.
func (b *bench) ask(version string) answered {
	b.t.Helper()
	if version == v1 {
		c := b.dial()
		c.write(get)
		return c.answered()
	}
	p := b.dial2()
	p.head(1, true, get2...)
	return p.answered(1)
}

// answered reads an answer, or what there is of it.
func (c *client) answered() (a answered) {
	resp, err := nethttp.ReadResponse(c.r, &nethttp.Request{Method: "GET"})
	if err != nil {
		return answered{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	return answered{resp.StatusCode, string(body), err}
}

// answered reads an answer, or what there is of it.
func (p *peer) answered(id uint32) (a answered) {
	heads, body, err := p.message(id)
	a = answered{body: body, err: err}
	if len(heads) > 0 {
		fmt.Sscan(heads[len(heads)-1].get(":status"), &a.status)
	}
	return a
}
