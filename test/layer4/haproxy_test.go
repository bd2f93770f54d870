package layer4

import (
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/test/gateway"
)

// TLS ends at HAProxy, which demands certificates and says whose it found good.
func inFront(t *testing.T, g *gateway.Gateway, words string) string {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	testpki.WriteFile(t, ca, g.Fleet.PEM())
	return haproxy(t, `frontend in
  bind LISTEN ssl crt `+writeBoth(t, g.Web.Server("localhost"))+` ca-file `+ca+` verify optional
  default_backend gateway
backend gateway
  server gateway `+g.Address("127.0.0.1:0")+" "+words+"\n")
}

func config(auth, dialects, app string) string {
	return `
node: {admin: off}
logs: {connection: {path: "-", format: json}}
listeners:
  - name: web
    address: 127.0.0.1:0
    protocol: http
    proxy_protocol: {accept: required, from: 127.0.0.1}
` + auth + dialects + `    default: {forward: app}
target_groups:
  - {name: app, targets: "` + app + `"}
`
}

func TestWhoHAProxyVouchesForIsToldTheBackendInProxiedModeAlone(t *testing.T) {
	for name, c := range map[string]struct{ auth, headers string }{
		"proxied":     {"    client_auth: {mode: proxied, from: 127.0.0.1}\n", "    identity_headers: [nginx, aws]\n"},
		"not proxied": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := gateway.New(t)
			g.Start(config(c.auth, c.headers, echo(t)))
			front := inFront(t, g, "send-proxy-v2-ssl-cn")
			conn, err := dial(t, g, front, g.Fleet.Client("MacID-1"))
			if err != nil {
				t.Fatal(err)
			}
			status, told := ask(t, conn)
			if status != 200 || !strings.Contains(told, "X-Forwarded-For: 127.0.0.1") {
				t.Errorf("%d %s", status, told)
			}
			for _, header := range []string{"X-Ssl-Client-Verify: SUCCESS", "X-Ssl-Client-S-Dn: CN=MacID-1", "X-Amzn-Mtls-Clientcert-Subject: CN=MacID-1"} {
				if strings.Contains(told, header) != (name == "proxied") {
					t.Errorf("%s in %s", header, told)
				}
			}
			// HAProxy lets those in who have no certificate; only here it matters.
			conn, err = dial(t, g, front, nil)
			if err != nil {
				t.Fatal(err)
			}
			if name != "proxied" {
				if status, _ := ask(t, conn); status != 200 {
					t.Errorf("%d", status)
				}
				return
			}
			conn.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
			if n, err := conn.Read(make([]byte, 100)); err == nil {
				t.Errorf("%d bytes were answered to somebody for whom nobody vouches", n)
			}
		})
	}
}

// Without the client's name there is nobody to vouch for.
func TestHAProxyHasToTellTheName(t *testing.T) {
	g := gateway.New(t)
	g.Start(config("    client_auth: {mode: proxied, from: 127.0.0.1, on_failure: respond}\n", "", echo(t)))
	conn, err := dial(t, g, inFront(t, g, "send-proxy-v2-ssl"), g.Fleet.Client("MacID-1"))
	if err != nil {
		t.Fatal(err)
	}
	if status, told := ask(t, conn); status != 403 || !strings.Contains(told, "ClientNotVouched") {
		t.Errorf("%d %s", status, told)
	}
}

// A frontend of HAProxy's own reads what a stream carries, behind our header.
func TestHAProxyBehindReadsOurHeaderOnAStream(t *testing.T) {
	target := haproxy(t, `frontend target
  mode http
  bind LISTEN accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[fc_pp_authority]"
`)
	g := gateway.New(t)
	g.Start(`
node: {admin: off}
listeners:
  - name: bytes
    address: 127.0.0.1:0
    protocol: tls
    certificates: {cert: server.crt, key: server.key}
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores: [{name: fleet, ca_bundle: ca.crt}]
target_groups:
  - {name: app, protocol: tcp, targets: "` + target + `", proxy_protocol: {tlvs: [authority, ssl, crc32c]}, health_check: {interval: 100ms}}
`)
	conn, err := dial(t, g, g.Address("127.0.0.1:0"), g.Fleet.Client("MacID-1"))
	if err != nil {
		t.Fatal(err)
	}
	ours := strings.Replace(conn.LocalAddr().String(), ":", " ", 1)
	if status, told := ask(t, conn); status != 200 || told != ours+" localhost" {
		t.Errorf("%d %q, want %q", status, told, ours+" localhost")
	}
}
