package traffic_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/forward/health"
)

// nginxTarget runs nginx as a target that demands headers, and answers with what
// they say.
func nginxTarget(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	return testrequire.Peer(t, "nginx", func(address string) []string {
		testpki.WriteFile(t, filepath.Join(dir, "nginx.conf"), []byte(`daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events {}
http {
  access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {
    listen `+address+` proxy_protocol;
    location / { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $http_x_amzn_mtls_clientcert_subject"; }
  }
}`))
		return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf")}
	}, testrequire.InheritedByNginx)
}

func TestNginxIsToldOfTheClient(t *testing.T) {
	for name, words := range map[string]string{
		"version 1":                 "version: 1",
		"version 2":                 "version: 2",
		"version 2, and all fields": "tlvs: [ssl, ssl_client_cert, authority, alpn, unique_id, crc32c]",
	} {
		t.Run(name, func(t *testing.T) {
			r := startBefore(t, nginxTarget(t), with(fleetConfig, `targets: ["BACKEND"]`, `targets: ["BACKEND"], proxy_protocol: {`+words+`},
    health_check: {interval: 50ms}`))
			for _, name := range []string{"MacID-1", "MacID-2", "MacID-3"} {
				c := r.dial(r.root.Client(name))
				conn := c.conn.(*tls.Conn).NetConn()
				want := strings.Join([]string{addressOf(conn.LocalAddr()), addressOf(conn.RemoteAddr()), "CN=" + name}, " ")
				for range 2 {
					if got := c.get(); got.StatusCode != 200 || got.body != want {
						t.Errorf("%d %q, want %q", got.StatusCode, got.body, want)
					}
				}
			}
			r.until("health checks pass", func() bool {
				return r.node.Current().Listeners[0].Routes.Default.Forward.Targets()[0].State == health.Healthy
			})
		})
	}
}

// addressOf is a with a blank before the port.
func addressOf(a net.Addr) string {
	host, port, _ := net.SplitHostPort(a.String())
	return host + " " + port
}

// HAProxy closes connections whose CRC32C is wrong.
func TestHAProxyIsToldOfTheClient(t *testing.T) {
	backend := haproxy(t, `frontend target
  mode http
  bind LISTEN accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority] %[fc_pp_unique_id]"
`)
	r := startBefore(t, backend, telling("http"))
	c := r.dial(r.root.Client("MacID-1"))
	conn := c.conn.(*tls.Conn).NetConn()
	got := c.get()
	id := r.journal.wait(t, event{"event": "connection"})["conn_trace_id"].(string)
	if want := strings.Join([]string{addressOf(conn.LocalAddr()), addressOf(conn.RemoteAddr()), "localhost", id}, " "); got.body != want {
		t.Errorf("%d %q, want %q", got.StatusCode, got.body, want)
	}
}

// A target cannot tell whether HAProxy or countersign is in front of it.
func TestTargetsAreToldTheSameAsByHAProxy(t *testing.T) {
	backend := hearer(t, false)
	r := startBefore(t, backend, with(telling("http"), "identity_headers: [aws]", "tls: {policy: tls13, alpn: http/1.1}"))
	dir := t.TempDir()
	testpki.WriteFile(t, filepath.Join(dir, "server.pem"), append(read(t, r.dir, "server.crt"), read(t, r.dir, "server.key")...))
	front := haproxy(t, `frontend in
  mode tcp
  bind LISTEN ssl crt `+dir+`/server.pem ca-file `+r.dir+`/ca.crt verify required alpn http/1.1 ssl-min-ver TLSv1.3
  default_backend app
backend app
  mode tcp
  server app `+backend+` send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c
`)
	cert := r.root.Client("MacID-1")
	ours, theirs := tls.NewLRUClientSessionCache(1), tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		got := map[string]hearing{}
		for address, cache := range map[string]tls.ClientSessionCache{r.address("127.0.0.1:0"): ours, front: theirs} {
			raw, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			raw.SetDeadline(time.Now().Add(patience))
			conn := tls.Client(raw, &tls.Config{RootCAs: r.server.Issuer.Pool(), ServerName: "localhost", NextProtos: []string{"http/1.1"},
				Certificates: []tls.Certificate{cert.TLS()}, ClientSessionCache: cache})
			c := &client{t: t, conn: conn, in: bufio.NewReader(conn), host: "localhost"}
			h := c.get().heard(t)
			if conn.ConnectionState().DidResume != resumed {
				t.Fatalf("resumed: %t", !resumed)
			}
			// What differs by nature, or what HAProxy 2.6 cannot tell.
			h.Conn, h.Client, h.UniqueID, h.Cert, h.Group, h.Scheme, h.ALPN = "", "", "", nil, "", "", ""
			h.Cipher = "" // each has its favorite
			if resumed {  // we show no certificate then
				h.Sig, h.Key = "", ""
			}
			got[address] = h
		}
		if diff := cmp.Diff(got[front], got[r.address("127.0.0.1:0")]); diff != "" {
			t.Errorf("resumed: %t (-HAProxy +countersign):\n%s", resumed, diff)
		}
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
