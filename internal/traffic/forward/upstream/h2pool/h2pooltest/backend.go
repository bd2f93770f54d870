// Package h2pooltest has the other end of connections over HTTP/2, for tests.
package h2pooltest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/wire/http2"
	xhttp2 "golang.org/x/net/http2"
)

// patience bounds every wait for an event that must come.
const patience = 10 * time.Second

// A Backend is net/http's server, speaking HTTP/2 alone, with what connects
// to it.
type Backend struct {
	*http.Server
	Address string // host:port

	mu    sync.Mutex
	conns map[net.Conn]bool // that were made; true: still open
}

// NewBackend serves until the test ends. streams is how many it allows on a
// connection; 0: net/http's 250.
func NewBackend(t testing.TB, streams int, serve http.HandlerFunc) *Backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &Backend{Address: l.Addr().String(), conns: map[net.Conn]bool{}}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	b.Server = &http.Server{Handler: serve, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams},
		ConnState: func(c net.Conn, s http.ConnState) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.conns[c] = s != http.StateClosed
		}}
	var served sync.WaitGroup
	served.Go(func() { b.Serve(l) })
	t.Cleanup(func() {
		b.Server.Close()
		served.Wait()
	})
	return b
}

// Count returns how many connections were made, and how many are open.
func (b *Backend) Count() (made, open int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, isOpen := range b.conns {
		if isOpen {
			open++
		}
	}
	return len(b.conns), open
}

// Left waits until so many connections are open.
func (b *Backend) Left(t testing.TB, want int) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%d connections are open", want), func() bool {
		_, open := b.Count()
		return open == want
	})
}

// CloseConns closes all connections.
func (b *Backend) CloseConns() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
}

// Eventually waits for what nothing announces.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}

// A getter is the head of a GET.
type getter string

func (path getter) Encode(e *http2.Encoder) {
	e.Request([]byte("GET"), []byte("http"), []byte("backend.test"), []byte(path), nil)
}

// Ask sends a request for path on s.
func Ask(s *h2pool.Stream, path string) error { return s.WriteHead(getter(path), http2.End) }

// Answer reads the answer on s.
func Answer(s *h2pool.Stream) (status int, body string, err error) {
	if err := s.ReadHead(patience); err != nil {
		return 0, "", err
	}
	var b strings.Builder
	for p := make([]byte, 1<<10); ; {
		n, err := s.Read(p, patience)
		b.Write(p[:n])
		if err == io.EOF {
			return s.Response.Status, b.String(), nil
		}
		if err != nil {
			return s.Response.Status, b.String(), err
		}
	}
}

// Fetch is a whole exchange on s, which is released.
func Fetch(s *h2pool.Stream, path string) (body string, err error) {
	defer s.Release()
	if err := Ask(s, path); err != nil {
		return "", err
	}
	status, body, err := Answer(s)
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d", status)
	}
	return body, err
}

// MustFetch is Fetch from Hello.
func MustFetch(t testing.TB, s *h2pool.Stream, path string) {
	t.Helper()
	if body, err := Fetch(s, path); err != nil || body != "hello "+path {
		t.Fatalf("%q, %v", body, err)
	}
}

// Hello answers with a word and the path.
func Hello(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello "+r.URL.Path) }

// Framed is a target of which a test writes and reads the frames.
func Framed(t *testing.T, s *pooltest.Server, settings ...xhttp2.Setting) (*xhttp2.Framer, net.Conn) {
	t.Helper()
	c := s.Accept(t)
	return Speak(t, c, settings...), c
}

// Speak begins as a target on c. The test writes and reads the frames.
func Speak(t *testing.T, c net.Conn, settings ...xhttp2.Setting) *xhttp2.Framer {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, len(xhttp2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	f := xhttp2.NewFramer(c, c)
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f
}
