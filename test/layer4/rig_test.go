package layer4

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/test/gateway"
)

// run starts a program that ends with the test, and waits until somebody listens
// at address.
func run(t testing.TB, address, program string, arguments ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, arguments...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(gateway.Patience):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	})
	until(t, program+" listens at "+address, func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended", program)
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return cmd
}

// until waits for what must come to be.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(gateway.Patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come to be that %s", what)
		}
	}
}

// haproxy runs HAProxy with config, in which LISTEN stands for its socket.
func haproxy(t *testing.T, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	config = "defaults\n  mode tcp\n  timeout connect 20s\n  timeout client 20s\n  timeout server 20s\n" + strings.ReplaceAll(config, "LISTEN", "fd@3")
	testpki.WriteFile(t, path, []byte(config))
	return testrequire.Peer(t, "haproxy", func(string) []string { return []string{"-db", "-f", path} })
}

// dial connects to a server of g's by TLS, as cert; nil: without a certificate.
func dial(t testing.TB, g *gateway.Gateway, address string, cert *testpki.Certificate) (*tls.Conn, error) {
	cfg := &tls.Config{RootCAs: g.Web.Pool(), ServerName: "localhost"}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{cert.TLS()}
	}
	raw, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(gateway.Patience))
	t.Cleanup(func() { raw.Close() })
	conn := tls.Client(raw, cfg)
	return conn, conn.Handshake()
}

// ask sends a GET over conn and returns the answer.
func ask(t testing.TB, conn net.Conn) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) { return conn, nil }, DisableKeepAlives: true}}
	res, err := client.Get("http://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// echo is a backend that answers with the header that it was sent.
func echo(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { q.Header.Write(w) })}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String()
}

// writeBoth writes a certificate with its key into one file, as HAProxy and others want them.
func writeBoth(t testing.TB, c *testpki.Certificate) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(path, append(testpki.PEM(c.Chain()...), c.KeyPEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
