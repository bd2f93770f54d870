package traffic_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
)

// An inside is the network behind the gateway, with an authority of its own.
type inside struct {
	root *testpki.Certificate
	dir  string // of the targets' files
}

func newInside(t *testing.T) *inside {
	in := &inside{root: testpki.NewRoot(t, "Inside Root"), dir: t.TempDir()}
	testpki.WriteFile(t, filepath.Join(in.dir, "ca.crt"), in.root.PEM())
	in.revokes(t)
	in.root.Server("127.0.0.1").Write(in.dir, "server")
	return in
}

// revokes writes ca.crl.
func (in *inside) revokes(t *testing.T, certs ...*testpki.Certificate) {
	testpki.WriteFile(t, filepath.Join(in.dir, "ca.crl"), testpki.CRLPEM(in.root.CRL(testpki.Revoke(certs...))))
}

// nginx runs one that demands certificates, and does what words say.
func (in *inside) nginx(t *testing.T, http2, words string) string {
	t.Helper()
	dir := t.TempDir()
	return testrequire.Peer(t, "nginx", func(address string) []string {
		testpki.WriteFile(t, filepath.Join(dir, "nginx.conf"), []byte(strings.ReplaceAll(`daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events {}
http {
  access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  keepalive_requests 1000000;
  server {
    listen `+address+` ssl `+http2+`;
    ssl_certificate INSIDE/server.crt; ssl_certificate_key INSIDE/server.key;
    ssl_client_certificate INSIDE/ca.crt; ssl_verify_client on; ssl_crl INSIDE/ca.crl;
    location / { `+words+` }
  }
}`, "INSIDE", in.dir)))
		return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf")}
	}, testrequire.InheritedByNginx)
}

// haproxy runs one that demands certificates, and answers what the format says.
func (in *inside) haproxy(t *testing.T, versions, format string) string {
	t.Helper()
	cert, _ := os.ReadFile(filepath.Join(in.dir, "server.crt"))
	key, _ := os.ReadFile(filepath.Join(in.dir, "server.key"))
	testpki.WriteFile(t, filepath.Join(in.dir, "server.pem"), slices.Concat(cert, key))
	return haproxy(t, strings.ReplaceAll(`frontend target
  mode http
  bind LISTEN ssl crt INSIDE/server.pem ca-file INSIDE/ca.crt crl-file INSIDE/ca.crl verify required`+versions+`
  http-request return status 200 content-type text/plain lf-string `+format+`
`, "INSIDE", in.dir))
}

// who answers who has come, and what is said of whom.
const who = `return 200 "$ssl_client_s_dn, for $http_x_amzn_mtls_clientcert_subject";`

// behind has r reach the target at address over TLS. certificate is shown; nil: none.
func (in *inside) behind(r *rig, address, protocol string, certificate *testpki.Certificate, more string) {
	r.t.Helper()
	settings := "ca_bundle: inside.crt" + more
	if certificate != nil {
		certificate.Write(r.dir, "gateway")
		settings += ", certificate: {cert: gateway.crt, key: gateway.key}"
	}
	r.file("inside.crt", in.root.PEM())
	r.backend = address
	r.publish(with(fleetConfig, `{name: app, targets: ["BACKEND"]}`, `{name: app, protocol: `+protocol+`, targets: ["BACKEND"], tls: {`+settings+`}}`))
}

func TestNginxIsReachedWithOurCertificateAndNotWithout(t *testing.T) {
	in := newInside(t)
	revoked := in.root.Client("gateway")
	in.revokes(t, revoked)
	for protocol, http2 := range map[string]string{"https": "", "h2": "http2"} {
		address := in.nginx(t, http2, who)
		r := start(t, fleetConfig)
		ask := func() reply {
			t.Helper()
			return r.dial(r.root.Client("MacID-1")).get("X-Amzn-Mtls-Clientcert-Subject: CN=forged")
		}
		in.behind(r, address, protocol, in.root.Client("gateway"), "")
		if got := ask(); got.StatusCode != 200 || got.body != "CN=gateway, for CN=MacID-1" {
			t.Errorf("%s: %d %q", protocol, got.StatusCode, got.body)
		}
		// nginx finishes the handshake with everybody, and answers 400 then.
		in.behind(r, address, protocol, revoked, "")
		if got := ask(); got.StatusCode != 400 || !strings.Contains(got.body, "SSL certificate error") {
			t.Errorf("%s, revoked: %d %q", protocol, got.StatusCode, got.body)
		}
		in.behind(r, address, protocol, nil, "")
		if got := ask(); got.StatusCode != 400 || !strings.Contains(got.body, "No required SSL certificate") {
			t.Errorf("%s, without: %d %q", protocol, got.StatusCode, got.body)
		}
		in.behind(r, address, protocol, in.root.Client("gateway"), ", server_name: api.internal")
		if got := ask(); got.StatusCode != 502 || strings.Contains(got.body, "api.internal") {
			t.Errorf("%s, for another name: %d %q", protocol, got.StatusCode, got.body)
		}
		r.journal.wait(t, event{"event": "access", "denial_code": "TargetCertNameMismatch"})
	}
}

// Each link of the chain proves itself to the next one.
func TestNginxBehindNginxIsReachedWithTheCertificateOfTheLastOne(t *testing.T) {
	in := newInside(t)
	last := in.nginx(t, "", `return 200 "$ssl_client_s_dn, behind $http_x_before, for $http_x_amzn_mtls_clientcert_subject";`)
	in.root.Client("middle").Write(in.dir, "middle")
	middle := in.nginx(t, "", strings.ReplaceAll(`proxy_pass https://`+last+`; proxy_set_header X-Before $ssl_client_s_dn;
      proxy_ssl_certificate INSIDE/middle.crt; proxy_ssl_certificate_key INSIDE/middle.key;
      proxy_ssl_trusted_certificate INSIDE/ca.crt; proxy_ssl_verify on; proxy_ssl_name 127.0.0.1; proxy_ssl_crl INSIDE/ca.crl;`, "INSIDE", in.dir))
	r := start(t, fleetConfig)
	in.behind(r, middle, "https", in.root.Client("gateway"), "")
	if got := r.dial(r.root.Client("MacID-1")).get(); got.StatusCode != 200 || got.body != "CN=middle, behind CN=gateway, for CN=MacID-1" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}

// HAProxy refuses during the handshake, which in TLS 1.3 is behind the request.
func TestHAProxyThatRefusesOurCertificateIsNamedWithItsAlert(t *testing.T) {
	in := newInside(t)
	revoked := in.root.Client("gateway")
	in.revokes(t, revoked)
	for _, versions := range []string{"", " ssl-max-ver TLSv1.2"} {
		address := in.haproxy(t, versions, "%[ssl_c_s_dn(cn)]")
		r := start(t, fleetConfig)
		refused := 0
		stranger := testpki.NewRoot(t, "Other").Client("gateway")
		for name, c := range map[string]struct {
			shown *testpki.Certificate
			words string // of the alert; "": it is taken
		}{
			"ours":             {in.root.Client("gateway"), ""},
			"none":             {nil, "asks for a client certificate"},
			"of somebody else": {stranger, "unknown_ca"},
			"revoked":          {revoked, "certificate_revoked"},
			"expired":          {in.root.Client("gateway", testpki.Expired()), "certificate_expired"},
		} {
			in.behind(r, address, "https", c.shown, "")
			for range 3 { // on one connection of the client
				got := r.dial(r.root.Client("MacID-1")).get()
				if c.words == "" {
					if got.StatusCode != 200 || got.body != "gateway" {
						t.Errorf("%s%s: %d %q", name, versions, got.StatusCode, got.body)
					}
					continue
				}
				refused++
				var lines []event
				r.until("the refusal is logged", func() bool {
					lines, _ = r.journal.of(event{"event": "access", "denial_code": "TargetRefusedCertificate"})
					return len(lines) == refused || t.Failed()
				})
				line := lines[len(lines)-1]
				if reason, _ := line["denial_reason"].(string); got.StatusCode != 502 || !strings.Contains(reason, c.words) || !strings.Contains(reason, "alert ") {
					t.Errorf("%s%s: %d, %q", name, versions, got.StatusCode, reason)
				}
			}
		}
	}
}

// Clients do not notice that the gateway's certificate is renewed, again and again.
func TestACertificateThatIsRenewedUnderLoadCostsNoRequest(t *testing.T) {
	in := newInside(t)
	for name, peer := range map[string]func(*testing.T) (protocol, address string){
		"nginx": func(t *testing.T) (string, string) {
			return "https", in.nginx(t, "", `return 200 "$ssl_client_s_dn";`)
		},
		"nginx, HTTP2": func(t *testing.T) (string, string) {
			return "h2", in.nginx(t, "http2", `return 200 "$ssl_client_s_dn";`)
		},
		"HAProxy": func(t *testing.T) (string, string) {
			return "https", in.haproxy(t, "", `CN=%[ssl_c_s_dn(cn)]`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, fleetConfig)
			protocol, address := peer(t)
			in.behind(r, address, protocol, in.root.Client("gateway-0"), "")
			const clients, renewals = 16, 8
			var seen [renewals + 1]atomic.Int64
			var working sync.WaitGroup
			stop := make(chan struct{})
			defer working.Wait()
			defer sync.OnceFunc(func() { close(stop) })()
			for range clients {
				c := r.dial(r.root.Client("MacID-1"))
				working.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						got, n := c.get(), 0
						if _, err := fmt.Sscanf(got.body, "CN=gateway-%d", &n); got.StatusCode != 200 || err != nil {
							t.Errorf("%d %q", got.StatusCode, got.body)
							return
						}
						seen[n].Add(1)
					}
				})
			}
			for n := range renewals + 1 {
				if n > 0 {
					in.behind(r, address, protocol, in.root.Client(fmt.Sprintf("gateway-%d", n)), "")
				}
				r.until(fmt.Sprintf("gateway-%d is shown", n), func() bool { return seen[n].Load() > 10*clients || t.Failed() })
			}
		})
	}
}
