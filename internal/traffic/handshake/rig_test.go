package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a Server on a loopback socket. Each connection is answered with a
// byte, on which a client can wait to have its tickets, and closed.
type rig struct {
	t        testing.TB
	address  string
	server   atomic.Pointer[Server]
	outcomes chan Outcome
}

func newRig(t testing.TB, s *Server) *rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, address: ln.Addr().String(), outcomes: make(chan Outcome, 16)}
	r.server.Store(s)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.serve(ctx, raw) })
		}
	})
	t.Cleanup(func() { cancel(); ln.Close(); running.Wait() })
	return r
}

func (r *rig) serve(ctx context.Context, raw net.Conn) {
	conn, out := r.server.Load().Handshake(ctx, raw, nil)
	r.outcomes <- out
	if conn == nil {
		return
	}
	defer Linger(raw)
	conn.Write([]byte("!"))
}

// connect makes one connection and returns how both sides saw it.
func (r *rig) connect(config *tls.Config) (tls.ConnectionState, error, Outcome) {
	r.t.Helper()
	raw, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	state, err := converse(raw, config)
	return state, err, r.outcome()
}

func (r *rig) outcome() Outcome {
	r.t.Helper()
	select {
	case out := <-r.outcomes:
		return out
	case <-time.After(20 * time.Second):
		r.t.Fatal("the server made no outcome of a handshake within 20 s")
		return Outcome{}
	}
}

// converse makes the client's side of a connection and reads all it is sent.
func converse(raw net.Conn, config *tls.Config) (tls.ConnectionState, error) {
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(15 * time.Second))
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		return conn.ConnectionState(), err
	}
	b, err := io.ReadAll(conn)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // closed without close_notify
	}
	if err == nil && string(b) != "!" {
		err = io.ErrUnexpectedEOF
	}
	return conn.ConnectionState(), err
}

// A world is one PKI: a server that serves every name below example.com, a
// fleet's and another fleet's authority.
type world struct {
	root, other *testpki.Certificate
	server      *testpki.Certificate
}

func newWorld(t testing.TB) *world {
	root := testpki.NewRoot(t, "Fleet Root")
	return &world{root: root, other: testpki.NewRoot(t, "Other Root"),
		server: testpki.NewRoot(t, "Web Root").Server("example.com", testpki.DNS("example.com", "*.example.com", "*.ops.example.com"))}
}

func (w *world) certificate() Certificate {
	return Certificate{TLS: w.server.TLS(), Names: []string{"example.com", "*.example.com", "*.ops.example.com"}}
}

// client trusts the server and, unless c is nil, presents c.
func (w *world) client(name string, c *testpki.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: w.server.Issuer.Pool(), ServerName: name}
	if c != nil {
		cert := c.TLS()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return config
}

func store(t testing.TB, name string, c verify.Config, anchors ...*testpki.Certificate) *verify.Store {
	t.Helper()
	c.Name = name
	for _, a := range anchors {
		c.Anchors = append(c.Anchors, a.X509)
	}
	s, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func policies(t testing.TB, def *Policy, named ...Named) *Policies {
	t.Helper()
	p, err := NewPolicies(def, named)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newServer(t testing.TB, c Config) *Server {
	t.Helper()
	if c.Listener == "" {
		c.Listener = "devices"
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func code(d *countersign.Denial) countersign.Code {
	if d == nil {
		return ""
	}
	return d.Code
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

func at(config *tls.Config, version uint16) *tls.Config {
	config.MinVersion, config.MaxVersion = version, version
	return config
}
