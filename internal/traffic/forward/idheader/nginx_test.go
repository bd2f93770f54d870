package idheader_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/verify"
	"github.com/google/go-cmp/cmp"
)

// startNginx runs nginx on loopback in front of nothing: it answers with its own
// variables for the fields of the dialect, and returns its address.
func startNginx(t *testing.T, dir string) string {
	t.Helper()
	return testrequire.Peer(t, "nginx", func(address string) []string {
		config := `daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events {}
http {
  access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {
    listen ` + address + ` ssl;
    ssl_certificate server.crt; ssl_certificate_key server.key;
    ssl_verify_client optional_no_ca; ssl_client_certificate ca.crt; ssl_verify_depth 4;
    location / {
      default_type text/plain;
      return 200 "X-SSL-Client-Verify: $ssl_client_verify\r\nX-SSL-Client-S-DN: $ssl_client_s_dn\r\nX-SSL-Client-I-DN: $ssl_client_i_dn\r\nX-SSL-Client-Serial: $ssl_client_serial\r\nX-SSL-Client-V-Start: $ssl_client_v_start\r\nX-SSL-Client-V-End: $ssl_client_v_end\r\nX-SSL-Client-Fingerprint: $ssl_client_fingerprint\r\nX-SSL-Client-Escaped-Cert: $ssl_client_escaped_cert\r\n";
    }
  }
}`
		write(t, dir, "nginx.conf", []byte(config))
		return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf")}
	}, testrequire.InheritedByNginx)
}

func write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The fields of the nginx dialect are what nginx itself says of a certificate
// that openssl made, byte for byte.
func TestNginxSaysTheSame(t *testing.T) {
	program := testrequire.Program(t, "openssl")
	dir := t.TempDir()
	server := testpki.NewRoot(t, "Server Root").Server("localhost")
	write(t, dir, "server.crt", server.PEM())
	write(t, dir, "server.key", server.KeyPEM())
	openssl := func(args ...string) {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-multivalue-rdn",
		"-subj", "/C=DE/O=Größe, Söhne & Co/CN=Flotte+UID=ca", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30")
	address := startNginx(t, dir)

	ca := readCertificate(t, dir, "ca.crt")
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{ca}})
	if err != nil {
		t.Fatal(err)
	}
	for i, subject := range []string{
		"/CN=MacID-AA:BB:CC:DD:EE:FF",
		`/DC=org/DC=example/O=Acme, Inc./OU=a;b=c"d\\<e>/CN=#Zoë+serialNumber=1/emailAddress=a@example.com`,
		"/organizationIdentifier=VATDE-1/GN=Jürgen/SN= lead/CN=trail /title=x",
	} {
		t.Run(subject, func(t *testing.T) {
			serial := fmt.Sprintf("0x%d3a5b1", i+1)
			openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-multivalue-rdn", "-subj", subject, "-keyout", "leaf.key", "-out", "leaf.csr")
			openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", serial, "-days", "7", "-out", "leaf.crt", "-extfile", extensions(t, dir))
			pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "leaf.crt"), filepath.Join(dir, "leaf.key"))
			if err != nil {
				t.Fatal(err)
			}
			chain, denial := store.Verify([]*x509.Certificate{readCertificate(t, dir, "leaf.crt")}, verify.Options{})
			if denial != nil {
				t.Fatal(denial)
			}
			got := render(t, only(idheader.Nginx), identified(t, chain), idheader.Connection{})
			want := split(t, ask(t, address, pair))
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(field{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("unverified", func(t *testing.T) {
		leaf := testpki.NewRoot(t, "Nobody").Client("device")
		got := render(t, only(idheader.Nginx), shown(t, leaf.Chain()), idheader.Connection{})
		want := split(t, ask(t, address, leaf.TLS()))
		for _, f := range got {
			if v := value(t, want, f.name); v != f.value {
				t.Errorf("%s: got %s, nginx says %s", f.name, f.value, v)
			}
		}
	})
}

func extensions(t *testing.T, dir string) string {
	t.Helper()
	write(t, dir, "leaf.ext", []byte("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"))
	return "leaf.ext"
}

func readCertificate(t *testing.T, dir, name string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("%s holds no PEM", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask returns nginx's answer to a client that presents pair, whatever CAs nginx asks for.
func ask(t *testing.T, address string, pair tls.Certificate) []byte {
	t.Helper()
	present := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, GetClientCertificate: present}}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 20 * time.Second}
	response, err := client.Get("https://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(body), "X-SSL") {
		t.Fatalf("nginx: %s %s", response.Status, body)
	}
	return body
}
