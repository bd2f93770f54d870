package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/verify"
)

// bytewise sends each byte in a segment of its own.
type bytewise struct{ net.Conn }

func (c bytewise) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// recordwise sends its first record, the ClientHello, as records of one byte.
type recordwise struct {
	net.Conn
	done bool
}

func (c *recordwise) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	c.done = true
	var out []byte
	for _, b := range p[5:] {
		out = append(out, p[0], p[1], p[2], 0, 1, b)
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// T12, Traefik CVE-2026-32305: the policy must not depend on how the
// ClientHello arrives.
func TestAFragmentedClientHelloComesUnderTheSamePolicy(t *testing.T) {
	w := newWorld(t)
	strict := &Policy{Name: "strict", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root)}
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()},
		Policies: policies(t, off("open"), Named{Names: []string{"api.example.com"}, Policy: strict})}))
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"segments": func(c net.Conn) net.Conn { return bytewise{c} },
		"records":  func(c net.Conn) net.Conn { return &recordwise{Conn: c} },
	} {
		for _, v := range versions {
			for _, cert := range []*testpki.Certificate{nil, w.root.Client("device")} {
				raw, err := net.Dial("tcp", r.address)
				if err != nil {
					t.Fatal(err)
				}
				_, err = converse(wrap(raw), at(w.client("api.example.com", cert), v))
				out := r.outcome()
				if out.Policy != strict || (err != nil) != (cert == nil) || out.Refused != (cert == nil) {
					t.Errorf("%s, %x, certificate %v: policy %v, the client got %v, denial %v", name, v, cert != nil, out.Policy, err, out.Denial)
				}
			}
		}
	}
}

func TestWhatIsNotTLS(t *testing.T) {
	w := newWorld(t)
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, off("p")), Timeout: 150 * time.Millisecond})
	for _, c := range []struct {
		name, sent string
		close      bool // the client closes after it sent
		code       countersign.Code
		reason     string
		silent     bool
	}{
		{"GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, countersign.PlainHTTPOnTLS, `"GET /"`, false},
		{"POST absolute", "POST http://a/ HTTP/1.1\r\n\r\n", false, countersign.PlainHTTPOnTLS, `"POST "`, false},
		{"h2c", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false, countersign.PlainHTTPOnTLS, "PRI *", false},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", false, countersign.HandshakeFailed, "53 53 48", false},
		{"garbage", strings.Repeat("\x00\xff", 4096), false, countersign.HandshakeFailed, "not TLS", false},
		{"a huge record", "\x16\x03\x01\xff\xff", false, countersign.HandshakeFailed, "oversized record", false},
		{"a huge message", "\x16\x03\x01\x00\x04\x01\xff\xff\xff", false, countersign.HandshakeFailed, "exceeds maximum", false},
		{"no ClientHello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", false, countersign.HandshakeFailed, "", false},
		{"silence", "", false, countersign.HandshakeTimeout, "in time", false},
		{"half a header", "\x16\x03", false, countersign.HandshakeTimeout, "in time", false},
		{"half a ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01", false, countersign.HandshakeTimeout, "in time", false},
		{"closed at once", "", true, countersign.HandshakeFailed, "closed", true},
		{"closed within", "\x16\x03\x01\x02\x00\x01\x00\x01", true, countersign.HandshakeFailed, "closed", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, raw := pair(t)
			io.WriteString(client, c.sent)
			if c.close {
				client.Close()
			}
			start := time.Now()
			conn, out := s.Handshake(context.Background(), raw, nil)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if conn != nil || !out.Refused || code(out.Denial) != c.code || !strings.Contains(out.Denial.Reason, c.reason) || out.Silent != c.silent {
				t.Fatalf("outcome %+v: denial %v, want %s with %q", out, out.Denial, c.code, c.reason)
			}
			if c.code != countersign.PlainHTTPOnTLS {
				if _, err := raw.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the socket is not closed: %v", err)
				}
				return
			}
			// The caller answers in plain text, and the client can read it.
			time.AfterFunc(0, func() { io.WriteString(raw, "HTTP/1.1 400 Bad Request\r\n\r\n"); Linger(raw) })
			client.SetDeadline(time.Now().Add(5 * time.Second))
			if b, err := io.ReadAll(client); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 400") {
				t.Errorf("the client got %q, %v", b, err)
			}
			client.Close()
		})
	}
}

// pair returns both ends of a TCP connection.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// A byte now and then must not keep a handshake going.
func TestTheTimeoutIsForTheWholeHandshake(t *testing.T) {
	w := newWorld(t)
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, off("p")), Timeout: 300 * time.Millisecond})
	client, raw := pair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := []byte("\x16\x03\x01\x02\x00" + strings.Repeat("a", 512)); len(b) > 0; b = b[1:] {
			if _, err := client.Write(b[:1]); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // the drip is what is tested
		}
	}()
	_, out := s.Handshake(context.Background(), raw, nil)
	if code(out.Denial) != countersign.HandshakeTimeout || out.Latency > 3*time.Second {
		t.Errorf("%v after %v", out.Denial, out.Latency)
	}
	client.Close()
	<-done
}

func TestTheContextEndsAHandshake(t *testing.T) {
	w := newWorld(t)
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, off("p"))})
	_, raw := pair(t)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, out := s.Handshake(ctx, raw, nil); code(out.Denial) != countersign.ShuttingDown || !out.Refused {
		t.Errorf("canceled: %v", out.Denial)
	}
	_, raw = pair(t)
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, out := s.Handshake(ctx, raw, nil); code(out.Denial) != countersign.HandshakeTimeout {
		t.Errorf("deadline: %v", out.Denial)
	}
}

func TestTheDeadlineIsLiftedAfterward(t *testing.T) {
	w := newWorld(t)
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, off("p")), Timeout: 200 * time.Millisecond})
	client, raw := pair(t)
	peer := tls.Client(client, w.client("example.com", nil))
	failed := make(chan error, 1)
	go func() { failed <- peer.Handshake() }()
	conn, out := s.Handshake(context.Background(), raw, nil)
	if err := <-failed; err != nil || out.Refused {
		t.Fatal(err, out.Denial)
	}
	time.AfterFunc(400*time.Millisecond, func() { io.WriteString(peer, "late") })
	b := make([]byte, 4)
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Errorf("a read beyond the handshake's timeout: %v", err)
	}
	conn.Close()
}

// T17.
func TestALPN(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		server, client []string
		want           string
		refused        bool
	}{
		{[]string{"http/1.1"}, nil, "", false},
		{[]string{"http/1.1"}, []string{"h2", "http/1.1"}, "http/1.1", false},
		{[]string{"h2", "http/1.1"}, []string{"http/1.1", "h2"}, "h2", false},
		{[]string{"http/1.1"}, []string{"h2"}, "", true},
		{[]string{"http/1.1"}, []string{"acme-tls/1"}, "", true},
		{[]string{"http/1.1"}, []string{"acme-tls/1", "http/1.1"}, "http/1.1", false},
		{nil, []string{"mqtt"}, "", false},
		{nil, []string{"acme-tls/1"}, "", true},
		{[]string{"http/1.1", "acme-tls/1"}, []string{"acme-tls/1"}, "acme-tls/1", false},
	} {
		r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, off("p")), NextProtos: c.server}))
		for _, v := range versions {
			config := at(w.client("example.com", nil), v)
			config.NextProtos = c.client
			_, err, out := r.connect(config)
			if out.Refused != c.refused || out.State.NegotiatedProtocol != c.want || (err != nil) != c.refused {
				t.Errorf("server %q, client %q: %q, denial %v, the client got %v", c.server, c.client, out.State.NegotiatedProtocol, out.Denial, err)
			}
			if c.refused && (code(out.Denial) != countersign.HandshakeFailed || !strings.Contains(err.Error(), "no application protocol")) {
				t.Errorf("server %q, client %q: %v, the client got %v", c.server, c.client, out.Denial, err)
			}
		}
	}
}

func TestAClientThatDoesNotTrustUsIsExplained(t *testing.T) {
	w := newWorld(t)
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, off("p"))}))
	_, err, out := r.connect(&tls.Config{RootCAs: w.other.Pool(), ServerName: "example.com"})
	if err == nil || code(out.Denial) != countersign.HandshakeFailed || !strings.Contains(out.Denial.Reason, "does not trust the server's certificate") {
		t.Errorf("the client got %v, denial %v", err, out.Denial)
	}
}

// OpenSSL as the other side: certificates, the alert, tickets.
func TestOpenSSL(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	w := newWorld(t)
	dir := t.TempDir()
	ca := testpki.WriteFile(t, filepath.Join(dir, "web.crt"), w.server.Issuer.PEM())
	cert, key := w.root.Intermediate("Issuing").Client("device").Write(dir, "device")
	policy := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root), Resumption: true}
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy), Keys: NewTicketKeys(TicketKeysConfig{})}))
	run := func(args ...string) string {
		args = append([]string{"s_client", "-connect", r.address, "-servername", "api.example.com", "-CAfile", ca, "-verify_return_error", "-ign_eof"}, args...)
		out, _ := exec.Command(openssl, args...).CombinedOutput() // its exit status follows its mood, its text does not
		return string(out)
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		session := filepath.Join(dir, "session"+version)
		text := run(version, "-cert", cert, "-key", key, "-cert_chain", cert, "-sess_out", session)
		if out := r.outcome(); out.Denial != nil || out.State.DidResume || !strings.Contains(text, "Verification: OK") {
			t.Fatalf("%s: %v\n%s", version, out.Denial, text)
		}
		text = run(version, "-sess_in", session)
		if out := r.outcome(); out.Denial != nil || !out.State.DidResume || !out.Chain.Verified() || !strings.Contains(text, "Reused") {
			t.Fatalf("%s: resumed %v, %v\n%s", version, out.State.DidResume, out.Denial, text)
		}
		text = run(version)
		want := map[string]string{"-tls1_2": "handshake failure", "-tls1_3": "certificate required"}[version]
		if out := r.outcome(); code(out.Denial) != countersign.ClientCertMissing || !strings.Contains(text, want) {
			t.Errorf("%s: %v; openssl's text lacks %q:\n%s", version, out.Denial, want, text)
		}
	}
}

func TestConcurrentHandshakes(t *testing.T) {
	w := newWorld(t)
	policy := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root), Resumption: true}
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy), Keys: NewTicketKeys(TicketKeysConfig{})}))
	const clients, each = 8, 5
	failed := make(chan error, clients)
	for i := range clients {
		config := w.client("api.example.com", w.root.Client(fmt.Sprint("device ", i)))
		config.ClientSessionCache = &pocket{}
		go func() {
			for range each {
				raw, err := net.Dial("tcp", r.address)
				if err == nil {
					_, err = converse(raw, config)
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	resumed := 0
	for range clients * each {
		if out := r.outcome(); out.Denial != nil {
			t.Error(out.Denial)
		} else if out.State.DidResume {
			resumed++
		}
	}
	for range clients {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if resumed != clients*(each-1) {
		t.Errorf("%d connections resumed, want %d", resumed, clients*(each-1))
	}
}
