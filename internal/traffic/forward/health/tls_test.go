package health_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/health/healthtest"
	"countersign.dev/internal/traffic/forward/upstream/secure"
	"countersign.dev/internal/wire/proxyproto"
)

// A secured target is one with a certificate, that asks for one.
type secured struct {
	root   *testpki.Certificate
	server *tls.Config
}

func newSecured(t *testing.T) secured {
	root := testpki.NewRoot(t, "Targets")
	return secured{root, &tls.Config{
		Certificates: []tls.Certificate{root.Server("target").TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: root.Pool(), NextProtos: []string{"h2", "http/1.1"},
	}}
}

// shows is a check's side that shows certificate; nil: none.
func (s secured) shows(t *testing.T, certificate *testpki.Certificate, protocols ...string) *secure.Client {
	return client(t, secure.Config{Roots: []*x509.Certificate{s.root.X509}, ServerName: "target", Protocols: protocols}, certificate)
}

func client(t *testing.T, c secure.Config, certificate *testpki.Certificate) *secure.Client {
	if certificate != nil {
		own := certificate.TLS()
		own.Leaf = certificate.X509
		c.Certificate = &own
	}
	c.Demanded = slices.Equal(c.Protocols, []string{"h2"})
	made, err := secure.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// gateway is a certificate of ours that s trusts.
func (s secured) gateway() *testpki.Certificate { return s.root.Client("gateway") }

// over serves with TLS.
func (s secured) over(serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		c := tls.Server(conn, s.server)
		if c.Handshake() == nil {
			serve(c)
		}
		c.Close()
	}
}

func silent(c net.Conn) { io.Copy(io.Discard, c) }

func TestTLSConforms(t *testing.T) {
	s := newSecured(t)
	healthtest.Run(t, health.Config{Protocol: "tls", TLS: s.shows(t, s.gateway())}, s.over(silent))
}

func TestHTTPSConforms(t *testing.T) {
	s := newSecured(t)
	healthtest.Run(t, health.Config{Protocol: "https", TLS: s.shows(t, s.gateway())}, s.over(answering("HTTP/1.1 204 No Content\r\n\r\n")))
}

func TestATargetThatSpeaksFirstIsWell(t *testing.T) {
	s := newSecured(t)
	check(t, health.Config{Protocol: "tls", TLS: s.shows(t, s.gateway())}, healthtest.Serve(t, s.over(func(c net.Conn) {
		io.WriteString(c, "220 mail.example.com\r\n")
		silent(c)
	})), "")
}

// With TLS 1.3 the alert comes after the client's handshake.
func TestATargetThatRefusesTheCertificateIsNotWell(t *testing.T) {
	s := newSecured(t)
	stranger, nobody := s.shows(t, testpki.NewRoot(t, "Others").Client("gateway")), s.shows(t, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s.server.MinVersion, s.server.MaxVersion = version, version
		for _, protocol := range []string{"tls", "https", "grpc"} {
			check(t, health.Config{Protocol: protocol, TLS: stranger}, healthtest.Serve(t, s.over(silent)), "refused our certificate")
			check(t, health.Config{Protocol: protocol, TLS: nobody}, healthtest.Serve(t, s.over(silent)), "there is none to show")
		}
	}
}

func TestACheckedTargetsCertificateIsVerified(t *testing.T) {
	s := newSecured(t)
	c := client(t, secure.Config{Roots: []*x509.Certificate{s.root.X509}, ServerName: "another"}, nil)
	check(t, health.Config{Protocol: "tls", TLS: c}, healthtest.Serve(t, s.over(silent)), "want another; issue it a certificate for that name, or set tls.server_name")
}

func TestHTTP2AndGRPCOverTLS(t *testing.T) {
	s := newSecured(t)
	h2 := httpServer(t, s, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Host != "app.internal" || r.TLS == nil || r.URL.Path != "/up" {
			w.WriteHeader(500)
		}
	})
	check(t, health.Config{Protocol: "https", HTTP2: true, Path: "/up", Host: "app.internal", TLS: s.shows(t, s.gateway(), "h2")}, h2, "")
	grpc := httpServer(t, s, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write([]byte{0, 0, 0, 0, 2, 8, 1})
		w.Header().Set("Grpc-Status", "0")
	})
	check(t, health.Config{Protocol: "grpc", TLS: s.shows(t, s.gateway(), "h2")}, grpc, "")
	s.server = s.server.Clone()
	s.server.NextProtos = nil
	check(t, health.Config{Protocol: "grpc", TLS: s.shows(t, s.gateway(), "h2")}, healthtest.Serve(t, s.over(silent)), "h2")
}

// httpServer serves handler over TLS with HTTP/2 until the test ends.
func httpServer(t *testing.T, s secured, handler http.HandlerFunc) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, TLSConfig: s.server.Clone()}
	done := make(chan struct{})
	go func() { defer close(done); server.ServeTLS(ln, "", "") }()
	t.Cleanup(func() { server.Close(); <-done })
	return ln.Addr().String()
}

// The address of a target leads to a proxy, and another port to its own health.
func TestAnotherPortIsAskedWithoutAPROXYHeader(t *testing.T) {
	first := make(chan string, 1)
	well := func(c net.Conn) {
		first <- strings.SplitN(readHead(c), "\r\n", 2)[0]
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	_, port, _ := net.SplitHostPort(healthtest.Serve(t, well))
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	check(t, health.Config{Port: n, Proxy: 1}, healthtest.Refusing(t), "")
	if got := <-first; got != "GET / HTTP/1.1" {
		t.Errorf("the check began with %q", got)
	}
	check(t, health.Config{Proxy: 1}, healthtest.Serve(t, func(c net.Conn) {
		line := make([]byte, len("PROXY UNKNOWN\r\n"))
		io.ReadFull(c, line)
		if string(line) == "PROXY UNKNOWN\r\n" {
			well(c)
		}
	}), "")
	<-first
}

// The header comes in plain before TLS: the target's proxy protocol is told first.
func TestAPROXYHeaderComesBeforeTLS(t *testing.T) {
	s := newSecured(t)
	check(t, health.Config{Protocol: "https", TLS: s.shows(t, s.gateway()), Proxy: 2}, healthtest.Serve(t, func(c net.Conn) {
		h, err := proxyproto.Read(c.(*net.TCPConn))
		if err == nil && h.Local {
			s.over(answering("HTTP/1.1 204 No Content\r\n\r\n"))(c)
		}
	}), "")
}

// check runs one check, which is well for "", else has that in its reason.
func check(t *testing.T, c health.Config, address, want string) {
	t.Helper()
	checker, err := health.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := checker.Check(t.Context(), address)
	if r.OK != (want == "") || !strings.Contains(r.Reason, want) {
		t.Errorf("%s: %+v, want %q in its reason", c.Protocol, r, want)
	}
}
