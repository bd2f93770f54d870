package http_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync/atomic"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/upstream/secure"
)

// A secured is what targets over TLS have in common, and the gateway in front.
type secured struct {
	root *testpki.Certificate
	own  *testpki.Certificate // shown to them; nil: none is
	made atomic.Int64         // connections that were let in
}

func newSecured(t testing.TB) *secured {
	root := testpki.NewRoot(t, "Root")
	return &secured{root: root, own: root.Client("gateway")}
}

// target is one over TLS that wants a certificate of by.
func (s *secured) target(t testing.TB, by *testpki.Certificate, handle func(*tls.Conn)) string {
	cfg := &tls.Config{Certificates: []tls.Certificate{s.root.Server("127.0.0.1").TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: by.Pool()}
	return target(t, func(raw net.Conn) {
		conn := tls.Server(raw, cfg)
		if conn.HandshakeContext(t.Context()) == nil {
			s.made.Add(1)
			handle(conn)
		}
	})
}

// over has the engine reach its targets over TLS.
func (s *secured) over(t testing.TB) func(*setup) {
	cfg := secure.Config{Roots: []*x509.Certificate{s.root.X509}, Protocols: []string{"http/1.1"}}
	if s.own != nil {
		own := s.own.TLS()
		cfg.Certificate = &own
	}
	client, err := secure.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return func(b *setup) { b.group.Protocol, b.group.TLS = "https", client }
}

// served has net/http answer on one connection.
func served(handle nethttp.HandlerFunc) func(*tls.Conn) {
	return func(c *tls.Conn) {
		r := bufio.NewReader(c)
		for {
			req, err := nethttp.ReadRequest(r)
			if err != nil {
				return
			}
			b, _ := io.ReadAll(req.Body)
			req.Body = io.NopCloser(strings.NewReader(string(b)))
			w := &plainWriter{head: nethttp.Header{}}
			handle(w, req)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n%x\r\n%s\r\n0\r\nX-Sum: %d\r\n\r\n", len(w.body), w.body, len(w.body))
		}
	}
}

// A plainWriter keeps what is written.
type plainWriter struct {
	head nethttp.Header
	body string
}

func (w *plainWriter) Header() nethttp.Header { return w.head }
func (w *plainWriter) WriteHeader(int)        {}
func (w *plainWriter) Write(p []byte) (int, error) {
	w.body += string(p)
	return len(p), nil
}

func TestExchangesOverTLSShareAConnection(t *testing.T) {
	s := newSecured(t)
	b := start(t, []string{s.target(t, s.root, served(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		fmt.Fprintf(w, "%s %s %s ", r.Method, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Amzn-Mtls-Clientcert-Subject"))
		io.Copy(w, r.Body)
	}))}, s.over(t))
	c := b.dial()
	large := strings.Repeat("0123456789abcdef", 20<<10)
	for _, body := range []string{"", "short", large} {
		resp, got := c.exchange(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nX-Amzn-Mtls-Clientcert-Subject: CN=forged\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		if want := "POST 192.0.2.7 CN=test " + body; resp.StatusCode != 200 || got != want || resp.Trailer.Get("X-Sum") != fmt.Sprint(len(want)) {
			t.Errorf("%d bytes: %s, %d bytes came back: %.60q, trailers %v", len(body), resp.Status, len(got), got, resp.Trailer)
		}
	}
	if n := s.made.Load(); n != 1 {
		t.Errorf("%d connections for three exchanges", n)
	}
}

// What a target sends behind an answer would be the answer to the next request,
// be it in the same TLS record.
func TestWhatComesBehindAnAnswerOverTLSIsNobodys(t *testing.T) {
	for name, write := range map[string]func(c *tls.Conn, answer, more string){
		"in one record": func(c *tls.Conn, answer, more string) { io.WriteString(c, answer+more) },
		"in the next":   func(c *tls.Conn, answer, more string) { io.WriteString(c, answer); io.WriteString(c, more) },
		"in many":       func(c *tls.Conn, answer, more string) { io.WriteString(c, answer+more+strings.Repeat("x", 100<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecured(t)
			sent := make(chan struct{}, 3)
			b := start(t, []string{s.target(t, s.root, func(c *tls.Conn) {
				if _, err := readHead(bufio.NewReader(c)); err == nil {
					write(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
					sent <- struct{}{}
				}
			})}, s.over(t))
			c := b.dial()
			for range 3 {
				if _, body := c.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n"); body != "good" {
					t.Fatalf("the answer is %q", body)
				}
				<-sent // all of it: what comes later than the next request cannot be told from its answer
			}
		})
	}
}

// It comes to light after the request was sent; the target has not read it then.
func TestATargetThatRefusesOurCertificateDoesNotGetTheRequest(t *testing.T) {
	other := testpki.NewRoot(t, "Other")
	for name, request := range map[string]string{
		"without content": "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"with content":    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecured(t)
			strict := s.target(t, other, func(*tls.Conn) { t.Error("it was let in") })
			lenient := s.target(t, s.root, served(echoPath))

			b := start(t, []string{strict}, s.over(t))
			resp, _ := b.dial().exchange(request)
			res := b.result()
			if resp.StatusCode != 502 || res.Denial == nil || res.Denial.Code != countersign.TargetRefusedCertificate ||
				!strings.Contains(res.Denial.Reason, "unknown_ca") || !strings.Contains(res.Denial.Reason, "gateway") {
				t.Errorf("%s, %v", resp.Status, res.Denial)
			}

			b = start(t, []string{strict, lenient}, s.over(t))
			for range 2 { // one of the two begins with the strict one
				resp, body := b.dial().exchange(request)
				if resp.StatusCode != 200 || body != "/" {
					t.Errorf("another target would have served: %s %q, %v", resp.Status, body, b.result().Denial)
				}
			}
		})
	}
}

func TestATargetThatIsNotWhomItShouldBeGetsNothing(t *testing.T) {
	s := newSecured(t)
	elsewhere := &secured{root: testpki.NewRoot(t, "Elsewhere")}
	for name, c := range map[string]struct {
		address string
		code    countersign.Code
	}{
		"of another authority": {elsewhere.target(t, s.root, func(*tls.Conn) { t.Error("it was spoken to") }), countersign.TargetCertUntrusted},
		"without TLS": {target(t, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			b, _ := io.ReadAll(c)
			if strings.Contains(string(b), "GET /") {
				t.Errorf("the request went out without TLS: %q", b)
			}
		}), countersign.TargetHandshakeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, []string{c.address}, s.over(t))
			resp, body := b.dial().exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			res := b.result()
			if resp.StatusCode != 502 || res.Denial == nil || res.Denial.Code != c.code || strings.Contains(body, "evil") {
				t.Errorf("%s %q, %v", resp.Status, body, res.Denial)
			}
			if strings.Contains(body, c.address) || strings.Contains(body, "Elsewhere") {
				t.Errorf("the client is told more than it needs: %s", body)
			}
		})
	}
}

// An answer that lasts until the connection ends is whole only if the target says
// that it is (RFC 9112 section 9.8).
func TestAnAnswerThatEndsWithTheConnectionIsWholeWithCloseNotifyAlone(t *testing.T) {
	for name, end := range map[string]struct {
		with  func(*tls.Conn)
		whole bool
	}{
		"close_notify":   {func(c *tls.Conn) { c.CloseWrite() }, true},
		"the end of TCP": {func(c *tls.Conn) { c.NetConn().Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecured(t)
			b := start(t, []string{s.target(t, s.root, func(c *tls.Conn) {
				if _, err := readHead(bufio.NewReader(c)); err == nil {
					io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nall of it")
					end.with(c)
				}
			})}, s.over(t))
			c := b.dial()
			c.write(get)
			c.rest()
			res := b.result()
			if end.whole != (res.Denial == nil) || !end.whole && res.Denial.Code != countersign.TargetClosed {
				t.Errorf("%v", res.Denial)
			}
		})
	}
}

// A connection that the target closed while it was idle is not used, and if it was
// closed in the same moment the request goes out once more.
func TestAnIdleConnectionOverTLSThatWasClosedCostsNoRequest(t *testing.T) {
	s := newSecured(t)
	b := start(t, []string{s.target(t, s.root, func(c *tls.Conn) {
		if _, err := readHead(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			c.Close()
		}
	})}, s.over(t))
	c := b.dial()
	for range 20 {
		if resp, body := c.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n"); resp.StatusCode != 200 || body != "ok" {
			t.Fatalf("%s %q, %v", resp.Status, body, b.result().Denial)
		}
	}
	if n := s.made.Load(); n < 20 {
		t.Errorf("%d connections, of which each could serve once", n)
	}
}

// After a switch of protocols bytes go both ways, until both sides have ended.
func TestASwitchOfProtocolsOverTLS(t *testing.T) {
	s := newSecured(t)
	b := start(t, []string{s.target(t, s.root, func(c *tls.Conn) {
		r := bufio.NewReader(c)
		if _, err := readHead(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome ")
		n, _ := io.Copy(c, r) // until close_notify
		fmt.Fprintf(c, " and %d bytes", n)
		c.CloseWrite()
	})}, s.over(t))
	c := b.dial()
	c.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Fatal(head)
	}
	much := strings.Repeat("0123456789", 30<<10)
	go func() {
		io.WriteString(c, much)
		c.tcp().CloseWrite()
	}()
	got, err := c.rest()
	if want := "welcome " + much + fmt.Sprintf(" and %d bytes", len(much)); err != nil || got != want {
		t.Errorf("%d bytes came, want %d: %v, ending in %.40q", len(got), len(want), err, got[max(0, len(got)-40):])
	}
}
