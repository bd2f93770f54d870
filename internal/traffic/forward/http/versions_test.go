package http_test

import (
	"context"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"

	"countersign.dev/internal/traffic/forward/upstream"
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
	s := &nethttp.Server{Handler: handle, Protocols: only(version)}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String()
}

// goClient is net/http's client. Whatever it asks for, it asks the bench.
func (b *bench) goClient(version string) *nethttp.Client {
	tr := &nethttp.Transport{Protocols: only(version), DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, b.address)
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

// grpcTargets makes the group one of gRPC servers.
func grpcTargets(s *setup) { s.group.Protocol = "grpc" }

var _ = upstream.GroupConfig{}
