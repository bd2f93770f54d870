package traffic_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
)

// haproxy runs HAProxy with config, in which LISTEN stands for the socket at the
// address that is returned: it is open before HAProxy is.
func haproxy(t *testing.T, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	config = "defaults\n  timeout connect 20s\n  timeout client 20s\n  timeout server 20s\n" + strings.ReplaceAll(config, "LISTEN", "fd@3")
	testpki.WriteFile(t, path, []byte(config))
	return testrequire.Peer(t, "haproxy", func(string) []string { return []string{"-db", "-f", path} })
}

// HAProxy passes TLS on as it is, and says whose it is.
func TestHAProxyInFrontTellsTheClientsAddress(t *testing.T) {
	for how, words := range map[string]string{
		"version 1":                             "send-proxy",
		"version 2":                             "send-proxy-v2",
		"version 2, with everything it has":     "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority,ssl,cert-cn",
		"version 2, with health checks as well": "send-proxy-v2 check inter 100ms",
	} {
		t.Run(how, func(t *testing.T) {
			r := start(t, behindBalancer("required", "127.0.0.1"))
			front := haproxy(t, `frontend in
  mode tcp
  bind LISTEN
  unique-id-format conn-%pid
  default_backend gateway
backend gateway
  mode tcp
  server gateway `+r.address("127.0.0.1:0")+" "+words+"\n")
			shown := r.root.Client("MacID-1").TLS()
			raw, err := net.Dial("tcp", front)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			raw.SetDeadline(time.Now().Add(patience))
			conn := tls.Client(raw, &tls.Config{RootCAs: r.server.Issuer.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{shown}})
			c := &client{t: t, conn: conn, in: bufio.NewReader(conn), host: "localhost"}
			if got := c.get().served(t).Get("X-Forwarded-For"); got != "127.0.0.1" {
				t.Errorf("X-Forwarded-For: %q", got)
			}
			line := r.journal.wait(t, event{"event": "access"})
			if _, port, _ := net.SplitHostPort(front); !line.has(event{"client_port": raw.LocalAddr().(*net.TCPAddr).Port, "proxy_destination_port": port, "proxy_ip": "127.0.0.1"}) {
				t.Errorf("the log says %v", line)
			}
		})
	}
}
