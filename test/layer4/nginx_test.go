package layer4

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testport"
	"countersign.dev/internal/testrequire"
	"countersign.dev/test/gateway"
)

// laterNginx is an nginx that has the fields of a header as variables (1.23.2), which
// answers with them.
func laterNginx(t *testing.T) string {
	t.Helper()
	command := testrequire.Trixie(t, "nginx")
	dir, address := t.TempDir(), testport.For(t)
	file := filepath.Join(dir, "nginx.conf")
	testpki.WriteFile(t, file, []byte(`daemon off; master_process off; pid `+dir+`/nginx.pid; error_log stderr;
events {}
http {
  access_log off; client_body_temp_path `+dir+`/t1; proxy_temp_path `+dir+`/t2; fastcgi_temp_path `+dir+`/t3; uwsgi_temp_path `+dir+`/t4; scgi_temp_path `+dir+`/t5;
  server {
    listen `+address+` proxy_protocol;
    location / { return 200 "cn=$proxy_protocol_tlv_ssl_cn verify=$proxy_protocol_tlv_ssl_verify authority=$proxy_protocol_tlv_authority version=$proxy_protocol_tlv_ssl_version cipher=$proxy_protocol_tlv_ssl_cipher own=$proxy_protocol_tlv_0xe1 vpce=$proxy_protocol_tlv_0xea "; }
  }
}`))
	run(t, address, command[0], append(command[1:], "-e", "stderr", "-p", dir, "-c", file)...)
	return address
}

func TestALaterNginxIsToldOfTheClient(t *testing.T) {
	target := laterNginx(t)
	for name, protocol := range map[string]struct{ listener, group string }{"requests": {"https", "http"}, "bytes": {"tls", "tcp"}} {
		t.Run(name, func(t *testing.T) {
			g := gateway.New(t)
			g.Start(`
node: {admin: off}
listeners:
  - name: web
    address: 127.0.0.1:0
    protocol: ` + protocol.listener + `
    certificates: {cert: server.crt, key: server.key}
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores: [{name: fleet, ca_bundle: ca.crt}]
target_groups:
  - {name: app, protocol: ` + protocol.group + `, targets: "` + target + `", proxy_protocol: {tlvs: [ssl, authority, crc32c], set: [{type: 0xE1, value: "{cn} of {issuer}"}]}}
`)
			conn, err := dial(t, g, g.Address("127.0.0.1:0"), g.Fleet.Client("MacID-1"))
			if err != nil {
				t.Fatal(err)
			}
			want := "cn=MacID-1 verify=0 authority=localhost version=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256 own=MacID-1 of CN=Fleet Root vpce= "
			if status, told := ask(t, conn); status != 200 || told != want {
				t.Errorf("%d %q, want %q", status, told, want)
			}
		})
	}
}

// nginx of Debian 12 as target of a stream, that reads our header and peeks at the name.
func TestNginxStreamBehindATCPListener(t *testing.T) {
	testrequire.Program(t, "nginx")
	module := "/usr/lib/nginx/modules/ngx_stream_module.so"
	testrequire.File(t, module, "libnginx-mod-stream")
	dir := t.TempDir()
	target := testrequire.Peer(t, "nginx", func(address string) []string {
		testpki.WriteFile(t, filepath.Join(dir, "nginx.conf"), []byte(`load_module `+module+`;
daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events {}
stream {
  server {
    listen `+address+` proxy_protocol;
    ssl_preread on;
    return "$proxy_protocol_addr $ssl_preread_server_name";
  }
}`))
		return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf")}
	}, testrequire.InheritedByNginx)
	g := gateway.New(t)
	g.Start(`
node: {admin: off}
listeners:
  - {name: bytes, address: "127.0.0.1:0", protocol: tcp, default: {forward: app}}
target_groups:
  - {name: app, protocol: tcp, targets: "` + target + `", proxy_protocol: {version: 1}}
`)
	raw, err := net.Dial("tcp", g.Address("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(gateway.Patience))
	hello := &sender{Conn: raw} // what comes back is no TLS: the answer is kept
	tls.Client(hello, &tls.Config{ServerName: "api.example.com"}).Handshake()
	rest, err := io.ReadAll(raw)
	if got := string(append(hello.got, rest...)); got != "127.0.0.1 api.example.com" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A sender remembers what it has read.
type sender struct {
	net.Conn
	got []byte
}

func (s *sender) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.got = append(s.got, p[:n]...)
	return n, err
}
