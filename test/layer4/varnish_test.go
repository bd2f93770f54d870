package layer4

import (
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testport"
	"countersign.dev/internal/testrequire"
	"countersign.dev/test/gateway"
)

const vcl = `vcl 4.1;
import proxy;
backend none none;
sub vcl_recv { return (synth(200)); }
sub vcl_synth {
  set resp.body = "ssl=" + proxy.is_ssl() + " conn=" + proxy.client_has_cert_conn() + " sess=" + proxy.client_has_cert_sess() +
    " verify=" + proxy.ssl_verify_result() + " cn=" + proxy.client_cert_cn() + " version=" + proxy.ssl_version() +
    " cipher=" + proxy.ssl_cipher() + " key=" + proxy.cert_key() + " sign=" + proxy.cert_sign() +
    " alpn=" + proxy.alpn() + " authority=" + proxy.authority() + " client=" + client.ip;
  return (deliver);
}
`

// varnish runs Varnish, which answers with what its vmod_proxy reads.
func varnish(t *testing.T) string {
	t.Helper()
	program := testrequire.Program(t, "varnishd")
	testrequire.Program(t, "cc") // VCL is compiled
	dir := t.TempDir()
	file := filepath.Join(dir, "told.vcl")
	testpki.WriteFile(t, file, []byte(vcl))
	address := testport.For(t)
	run(t, address, program, "-F", "-j", "none", "-n", filepath.Join(dir, "work"), "-a", address+",PROXY", "-f", file, "-s", "default,1m", "-p", "thread_pool_min=5", "-p", "thread_pools=1", "-p", "vcc_allow_inline_c=off")
	return address
}

// Varnish is the reader of every field of ours that Debian 12 has.
func TestVarnishIsToldOfTheClient(t *testing.T) {
	target := varnish(t)
	for name, protocol := range map[string]struct{ listener, group string }{
		"requests": {"https", "http"},
		"bytes":    {"tls", "tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			g := gateway.New(t)
			g.Start(`
node: {admin: off}
listeners:
  - name: web
    address: 127.0.0.1:0
    protocol: ` + protocol.listener + `
    certificates: {cert: server.crt, key: server.key}
    client_auth: {mode: optional, trust_store: fleet}
    default: {forward: app}
trust_stores: [{name: fleet, ca_bundle: ca.crt}]
target_groups:
  - {name: app, protocol: ` + protocol.group + `, targets: "` + target + `", proxy_protocol: {tlvs: [ssl, authority, crc32c]}}
`)
			cert := g.Fleet.Client("MacID-AA:BB")
			for _, c := range []struct {
				cert *testpki.Certificate
				want []string
			}{
				{cert, []string{"ssl=true", "conn=true", "sess=true", "verify=0", "cn=MacID-AA:BB", "version=TLSv1.3", "cipher=TLS_AES_128_GCM_SHA256", "authority=localhost", "client=127.0.0.1"}},
				{nil, []string{"ssl=true", "conn=false", "sess=false", "verify=1", "cn= ", "version=TLSv1.3", "authority=localhost"}},
			} {
				conn, err := dial(t, g, g.Address("127.0.0.1:0"), c.cert)
				if err != nil {
					t.Fatal(err)
				}
				status, told := ask(t, conn)
				for _, want := range c.want {
					if status != 200 || !strings.Contains(told+" ", want) {
						t.Errorf("%d %q, want %q in it", status, told, want)
					}
				}
			}
		})
	}
}

// TLS ends at HAProxy; we believe it, and tell the target of its client in our turn.
func TestVarnishIsToldOfTheClientThatHAProxyVouchesFor(t *testing.T) {
	target := varnish(t)
	g := gateway.New(t)
	g.Start(`
node: {admin: off}
listeners:
  - name: bytes
    address: 127.0.0.1:0
    protocol: tcp
    proxy_protocol: {accept: required, from: 127.0.0.1}
    client_auth: {mode: proxied, from: 127.0.0.1}
    default: {forward: app}
target_groups:
  - {name: app, protocol: tcp, targets: "` + target + `", proxy_protocol: {tlvs: [ssl, authority]}}
`)
	front := inFront(t, g, "send-proxy-v2-ssl-cn proxy-v2-options authority")
	conn, err := dial(t, g, front, g.Fleet.Client("MacID-1"))
	if err != nil {
		t.Fatal(err)
	}
	status, told := ask(t, conn)
	for _, want := range []string{"ssl=true", "conn=true", "verify=0", "cn=MacID-1", "version=TLSv1.3", "authority=localhost", "client=127.0.0.1"} {
		if status != 200 || !strings.Contains(told, want) {
			t.Errorf("%d %q, want %q in it", status, told, want)
		}
	}
	if conn, err = dial(t, g, front, nil); err == nil {
		if _, err = conn.Read(make([]byte, 1)); err == nil {
			t.Error("somebody for whom nobody vouches comes through")
		}
	}
}
