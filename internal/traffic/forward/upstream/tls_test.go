package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/h2pool/h2pooltest"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/traffic/forward/upstream/secure"
	"countersign.dev/internal/wire/proxyproto"
)

// A vault is a target over TLS that asks for certificates of ours.
type vault struct {
	root    *testpki.Certificate
	address string
	open    atomic.Int64 // connections over HTTP/2
	who     chan string  // the common names of those who came in
	before  chan string  // what came before the handshake, on a vault that takes headers
}

// newVault echoes, line by line, until the test ends. With header, connections
// begin with a line of text.
func newVault(t testing.TB, header bool, alpn ...string) *vault {
	t.Helper()
	v := &vault{root: testpki.NewRoot(t, "Root"), who: make(chan string, 100), before: make(chan string, 100)}
	cfg := &tls.Config{Certificates: []tls.Certificate{v.root.Server("127.0.0.1").TLS()}, NextProtos: alpn,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: v.root.Pool()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v.address = l.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer raw.Close()
				if header {
					var line []byte
					for b := make([]byte, 1); b[0] != '\n'; line = append(line, b[0]) {
						if _, err := raw.Read(b); err != nil {
							return
						}
					}
					v.before <- string(line)
				}
				conn := tls.Server(raw, cfg)
				if conn.HandshakeContext(t.Context()) != nil {
					return
				}
				v.who <- conn.ConnectionState().PeerCertificates[0].Subject.CommonName
				io.Copy(conn, conn)
				conn.Close()
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return v
}

// shows compiles what a group says that shows a certificate called name.
func (v *vault) shows(t testing.TB, name string, change ...func(*secure.Config)) *secure.Client {
	t.Helper()
	own := v.root.Client(name).TLS()
	cfg := secure.Config{Roots: []*x509.Certificate{v.root.X509}, Certificate: &own}
	for _, f := range change {
		f(&cfg)
	}
	c, err := secure.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (v *vault) group(client *secure.Client) GroupConfig {
	return GroupConfig{Name: "api", Protocol: "https", TLS: client, Targets: []string{v.address}, IdleTimeout: time.Hour}
}

// said sends a word over c and wants it back.
func said(t testing.TB, c *pool.Conn) {
	t.Helper()
	if err := c.ArmRead(time.Now(), patience); err != nil {
		t.Fatal(err)
	}
	if err := c.ArmWrite(time.Now(), patience); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Fatalf("%q came back, %v", b, err)
	}
}

func TestConnectionsOverTLSAreUsedAgain(t *testing.T) {
	v := newVault(t, false)
	tg := target(t, newFleet(t), v.group(v.shows(t, "gateway")))
	c := get(t, tg, false)
	said(t, c)
	c.Release(true)
	again := get(t, tg, true)
	if again != c || <-v.who != "gateway" {
		t.Error("another connection than that of gateway")
	}
	said(t, again)
	again.Release(true)
	if n := testing.AllocsPerRun(100, func() {
		c, _, _ := tg.Get()
		c.Release(true)
	}); n > 2 { // crypto/tls, of each look at what came
		t.Errorf("to use a connection again allocates %v times", n)
	}
}

// New connections show the new certificate at once. What was made with the old one
// ends with what is under way.
func TestARenewedCertificateTakesOverWithoutCuttingAnythingOff(t *testing.T) {
	v := newVault(t, false)
	f := newFleet(t)
	tg := target(t, f, v.group(v.shows(t, "old")))
	busy, idle := get(t, tg, false), get(t, tg, false)
	said(t, busy)
	said(t, idle)
	idle.Release(true)

	if same := target(t, f, v.group(v.shows(t, "new"))); same != tg {
		t.Fatal("a renewed certificate made another target of it")
	}
	if n := tg.conns.Resting(); n != 0 {
		t.Errorf("%d connections wait that were made with the old certificate", n)
	}
	said(t, busy)
	fresh := get(t, tg, false)
	said(t, fresh)
	busy.Release(true)
	fresh.Release(true)
	if again := get(t, tg, true); again != fresh {
		t.Error("a connection that was made with the old certificate serves again")
	} else {
		again.Release(true)
	}
	for _, want := range []string{"old", "old", "new"} {
		if got := <-v.who; got != want {
			t.Errorf("the target saw %q, want %q", got, want)
		}
	}
}

// A certificate is not good for longer because a connection was kept.
func TestAConnectionIsNotUsedPastTheTargetsCertificate(t *testing.T) {
	v := newVault(t, false)
	f := newFleet(t)
	tg := target(t, f, v.group(v.shows(t, "gateway", func(c *secure.Config) { c.Now = f.now })))
	c := get(t, tg, false)
	said(t, c)
	f.forward.Store(int64(11 * 365 * 24 * time.Hour))
	c.Release(true)
	_, _, err := tg.Get()
	if d, ok := errors.AsType[*countersign.Denial](err); !ok || d.Code != countersign.TargetCertExpired {
		t.Errorf("%v, want %s", err, countersign.TargetCertExpired)
	}
}

func TestAHandshakeIsBoundedByTheConnectTimeoutAndCounted(t *testing.T) {
	s := pooltest.NewServer(t) // which never says a word
	v := newVault(t, false)
	f := newFleet(t)
	g := v.group(v.shows(t, "gateway"))
	g.Targets, g.ConnectTimeout = []string{s.Address}, 50*time.Millisecond
	tg := target(t, f, g)
	_, _, err := tg.Get()
	if d, ok := errors.AsType[*countersign.Denial](err); !ok || d.Code != countersign.TargetTimeout || !strings.Contains(d.Reason, "TLS handshake") {
		t.Errorf("%v, want %s", err, countersign.TargetTimeout)
	}
	if said := <-f.errors; !strings.Contains(said, "TLS handshake") || tg.connectErrors.Load() != 1 || tg.InFlight() != 0 {
		t.Errorf("told %q, %d counted, %d in flight", said, tg.connectErrors.Load(), tg.InFlight())
	}
}

// In TLS 1.3 it comes to light when the exchange has begun.
func TestARefusalOfOurCertificateIsCounted(t *testing.T) {
	v, other := newVault(t, false), testpki.NewRoot(t, "Other")
	stranger := other.Client("gateway").TLS()
	f := newFleet(t)
	tg := target(t, f, v.group(v.shows(t, "", func(c *secure.Config) { c.Certificate = &stranger })))
	c := get(t, tg, false)
	c.ArmRead(time.Now(), patience)
	c.Write([]byte("hello"))
	_, err := c.Read(make([]byte, 5))
	if d, ok := errors.AsType[*countersign.Denial](err); !ok || d.Code != countersign.TargetRefusedCertificate {
		t.Errorf("%v, want %s", err, countersign.TargetRefusedCertificate)
	}
	if told := <-f.errors; !strings.Contains(told, "unknown_ca") || tg.connectErrors.Load() != 1 {
		t.Errorf("told %q, %d counted", told, tg.connectErrors.Load())
	}
	c.Release(false)
}

func TestTheProxyHeaderComesBeforeTheHandshake(t *testing.T) {
	v := newVault(t, true)
	g := v.group(v.shows(t, "gateway"))
	g.Proxy = proxyproto.Plan{Version: 1}
	tg := target(t, newFleet(t), g)
	p := someone(t, 4711)
	c := getOwn(t, p, tg, false)
	said(t, c)
	c.Release(true)
	if header := <-v.before; !strings.HasPrefix(header, "PROXY TCP4 192.0.2.1 192.0.2.2 4711 ") || <-v.who != "gateway" {
		t.Errorf("the header: %q", header)
	}
	getOwn(t, p, tg, true).Release(true)
}

// Nothing falls back to a connection without TLS.
func TestATargetOverTLSIsNeverReachedWithout(t *testing.T) {
	v, f := newVault(t, false), newFleet(t)
	client := v.shows(t, "gateway")
	over := target(t, f, v.group(client))
	plain := v.group(nil)
	plain.Protocol = "http"
	if without := target(t, f, plain); without == over {
		t.Error("a target over TLS goes on without")
	}
	if c, err := over.Dial(t.Context()); err == nil { // somebody has picked it before
		said(t, c)
		c.Release(false)
	}
	for protocol, with := range map[string]*secure.Client{"http": client, "tcp": client, "https": nil, "tls": nil} {
		g := v.group(with)
		g.Protocol = protocol
		if _, err := f.Apply([]GroupConfig{g}); err == nil || !strings.Contains(err.Error(), "tls: ") {
			t.Errorf("protocol %s, TLS %v: %v", protocol, with != nil, err)
		}
	}
	h2 := v.group(nil)
	h2.Protocol = "h2"
	first := target(t, f, h2)
	h2.TLS = client
	if target(t, f, h2) == first {
		t.Error("a target of HTTP/2 without TLS goes on over TLS")
	}
}

// h2Vault is net/http's server of HTTP/2 over TLS.
func h2Vault(t testing.TB, serve http.HandlerFunc) *vault {
	t.Helper()
	v := &vault{root: testpki.NewRoot(t, "Root"), who: make(chan string, 100)}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{v.root.Server("127.0.0.1").TLS()}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: v.root.Pool(),
		VerifyConnection: func(s tls.ConnectionState) error {
			select {
			case v.who <- s.PeerCertificates[0].Subject.CommonName:
			case <-t.Context().Done():
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	v.address = l.Addr().String()
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	server := &http.Server{Handler: serve, Protocols: protocols, ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				v.open.Add(1)
			case http.StateClosed:
				v.open.Add(-1)
			}
		}}
	var served sync.WaitGroup
	served.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); served.Wait() })
	return v
}

func h2Only(c *secure.Config) { c.Protocols, c.Demanded = []string{"h2"}, true }

// Streams that are under way with the old certificate go on; others are made on a
// connection with the new one.
func TestStreamsOverTLSSurviveARenewedCertificate(t *testing.T) {
	release := make(chan struct{})
	v := h2Vault(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-release
		}
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	})
	f := newFleet(t)
	g := v.group(v.shows(t, "old", h2Only))
	g.Protocol = "h2"
	tg := target(t, f, g)
	slow := stream(t, tg)
	if err := h2pooltest.Ask(slow, "/slow"); err != nil {
		t.Fatal(err)
	}
	g.TLS = v.shows(t, "new", h2Only)
	if target(t, f, g) != tg {
		t.Fatal("a renewed certificate made another target of it")
	}
	if body, err := h2pooltest.Fetch(stream(t, tg), "/"); body != "new" || err != nil {
		t.Errorf("behind the renewal: %q, %v", body, err)
	}
	close(release)
	if _, body, err := h2pooltest.Answer(slow); body != "old" || err != nil {
		t.Errorf("under way: %q, %v", body, err)
	}
	slow.Release()
	h2pooltest.Eventually(t, "the old connection has ended", func() bool {
		return v.open.Load() == 1
	})
}

func TestATargetThatDoesNotSpeakHTTP2OverTLSIsRefusedWithWords(t *testing.T) {
	v := newVault(t, false, "http/1.1")
	g := v.group(v.shows(t, "gateway", h2Only))
	g.Protocol = "h2"
	_, err := target(t, newFleet(t), g).Stream(t.Context())
	if d, ok := errors.AsType[*countersign.Denial](err); !ok || d.Code != countersign.TargetProtocolMismatch {
		t.Errorf("%v, want %s", err, countersign.TargetProtocolMismatch)
	}
	w := newVault(t, false)
	g = w.group(w.shows(t, "gateway", h2Only))
	g.Protocol = "grpc"
	_, err = target(t, newFleet(t), g).Stream(t.Context())
	if d, ok := errors.AsType[*countersign.Denial](err); !ok || d.Code != countersign.TargetProtocolMismatch {
		t.Errorf("%v, want %s", err, countersign.TargetProtocolMismatch)
	}
}

// A refusal that comes with the first read is told to whoever waits for an answer, or
// asks when the target is gone already.
func TestAStreamLearnsThatOurCertificateWasRefused(t *testing.T) {
	v, other := h2Vault(t, nil), testpki.NewRoot(t, "Other")
	stranger := other.Client("gateway").TLS()
	f := newFleet(t)
	g := v.group(v.shows(t, "", h2Only, func(c *secure.Config) { c.Certificate = &stranger }))
	g.Protocol = "h2"
	tg := target(t, f, g)
	s := stream(t, tg)
	defer s.Release()
	err := h2pooltest.Ask(s, "/")
	if err == nil {
		_, _, err = h2pooltest.Answer(s)
	}
	if d, ok := errors.AsType[*countersign.Denial](err); !ok || d.Code != countersign.TargetRefusedCertificate {
		t.Errorf("%v, want %s", err, countersign.TargetRefusedCertificate)
	}
}

// A check over TLS goes on with the renewed certificate, and what was found of the
// target before counts.
func TestARenewedCertificateIsNoOtherHealthCheck(t *testing.T) {
	v := h2Vault(t, func(http.ResponseWriter, *http.Request) {})
	f := newFleet(t)
	group := func(name string) GroupConfig {
		g := v.group(v.shows(t, name, h2Only))
		g.Protocol, g.Health = "h2", &health.Config{Protocol: "https", HTTP2: true, TLS: g.TLS, Interval: time.Second}
		return g
	}
	tg := target(t, f, group("old"))
	f.await(t, "api "+v.address+" healthy")
	if got := <-v.who; got != "old" {
		t.Errorf("the check showed %q", got)
	}
	if target(t, f, group("new")) != tg {
		t.Fatal("a renewed certificate made another target of it")
	}
	for <-v.who != "new" {
	}
	if state := tg.roster.targetStatus(f.now())[0].State; state != health.Healthy || len(f.health) > 0 {
		t.Errorf("the target is %s, %d changes", state, len(f.health))
	}
}
