package wellknown

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/issuance/lint"
	"countersign.dev/internal/control/ca/succession"
	"countersign.dev/internal/testrequire"
)

// A place is an authority with everything that it publishes, on a real socket.
type place struct {
	authority *ca.Authority
	base      string // URL
	dir       string
}

func publish(t *testing.T, kind issuance.KeyType) place {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	h := &Handler{Publications: map[string]Publication{}, Logger: logger}
	server, err := Listen("127.0.0.1:0", h, logger)
	if err != nil {
		t.Fatal(err)
	}
	p := place{base: "http://" + server.Addr().String(), dir: t.TempDir()}
	p.authority, err = ca.Init(ca.Founding{Key: kind, Config: ca.Config{Dir: filepath.Join(p.dir, "pki"),
		Locations: func(n int) lint.Locations { return Locations(p.base, "fleet", n, true) }}})
	if err != nil {
		t.Fatal(err)
	}
	h.Publications["fleet"] = Publish(p.authority, true, logger)
	h.Publications["mute"] = Publish(p.authority, false, logger)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p place) issue(t *testing.T, name string) ca.Issued {
	t.Helper()
	issued, err := p.authority.Issue(ca.Request{CommonName: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := issued.Save(ca.FilesFor(p.dir, name)); err != nil {
		t.Fatal(err)
	}
	return issued
}

func get(t *testing.T, method, url, want string) (*http.Response, []byte) {
	t.Helper()
	q, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(res.Status, want) {
		t.Errorf("%s %s: %s, want %s", method, url, res.Status, want)
	}
	return res, content
}

// openssl asks the responder, by POST, and downloads the list that the
// certificate names; both before and after a revocation, and after a rollover.
func TestOpenSSLAsksAboutCertificates(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	for _, kind := range []issuance.KeyType{issuance.ECDSAP256, issuance.ECDSAP384, issuance.RSA2048} {
		t.Run(string(kind), func(t *testing.T) {
			p := publish(t, kind)
			run := func(args ...string) string {
				t.Helper()
				c := exec.Command(openssl, args...)
				c.Dir = p.dir
				var out bytes.Buffer
				c.Stdout, c.Stderr = &out, &out
				if err := c.Run(); err != nil {
					t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out.String())
				}
				return out.String()
			}
			ask := func(issuer, file, want string) {
				t.Helper()
				for _, digest := range []string{"-sha1", "-sha256"} {
					out := run("ocsp", digest, "-issuer", issuer, "-cert", file, "-no_nonce", "-CAfile", "pki/root.crt", "-verify_other", "pki/ca.crt",
						"-url", p.base+Root+"ocsp/fleet")
					if !strings.Contains(out, "Response verify OK") || !strings.Contains(out, file+": "+want) {
						t.Errorf("openssl ocsp %s of %s says %q, want %s", digest, file, out, want)
					}
				}
			}
			issued := p.issue(t, "device")
			if got := issued.Certificate.OCSPServer; len(got) != 1 || got[0] != p.base+Root+"ocsp/fleet" {
				t.Errorf("the certificate names the responders %q", got)
			}
			// -x509_strict holds the certificates to RFC 5280, -crl_download takes the list from where they say.
			run("verify", "-x509_strict", "-CAfile", "pki/root.crt", "-untrusted", "pki/issuing.crt", "-crl_check", "-crl_download", "device.crt")
			ask("pki/issuing.crt", "device.crt", "good")
			if _, err := p.authority.RevokeCertificate(issued.Certificate, crl.KeyCompromise, time.Time{}); err != nil {
				t.Fatal(err)
			}
			ask("pki/issuing.crt", "device.crt", "revoked")

			if _, err := p.authority.Rollover(t.Context(), succession.Next{Key: kind}); err != nil {
				t.Fatal(err)
			}
			next := p.issue(t, "next")
			if next.Issuer.Subject.CommonName != "Fleet CA Issuing 2" {
				t.Errorf("issued by %s", next.Issuer.Subject)
			}
			run("verify", "-x509_strict", "-CAfile", "pki/root.crt", "-untrusted", "pki/issuing-2.crt", "-crl_check", "-crl_download", "next.crt")
			ask("pki/issuing-2.crt", "next.crt", "good")
			ask("pki/issuing.crt", "device.crt", "revoked")
			// Each issuer speaks for its own certificates.
			serial := fmt.Sprintf("0x%X", next.Certificate.SerialNumber)
			if out := run("ocsp", "-issuer", "pki/issuing.crt", "-serial", serial, "-no_nonce", "-CAfile", "pki/root.crt", "-verify_other", "pki/ca.crt",
				"-url", p.base+Root+"ocsp/fleet"); !strings.Contains(out, serial+": unknown") {
				t.Errorf("the first issuing authority says of the second's certificate: %s", out)
			}
			_, list := get(t, http.MethodGet, issued.Certificate.CRLDistributionPoints[0], "200")
			if err := os.WriteFile(filepath.Join(p.dir, "got.crl"), list, 0o600); err != nil {
				t.Fatal(err)
			}
			if out := run("crl", "-inform", "DER", "-in", "got.crl", "-noout", "-verify", "-CAfile", "pki/ca.crt"); !strings.Contains(out, "verify OK") {
				t.Error(out)
			}
		})
	}
}

func TestAnswersToGetAreForCaches(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	p := publish(t, "")
	p.issue(t, "device")
	c := exec.Command(openssl, "ocsp", "-issuer", "pki/issuing.crt", "-cert", "device.crt", "-no_nonce", "-reqout", "request.der")
	c.Dir = p.dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c = exec.Command(openssl, "base64", "-A", "-in", "request.der")
	c.Dir = p.dir
	text, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{string(text), strings.NewReplacer("/", "%2F", "+", "%2B", "=", "%3D").Replace(string(text))} {
		res, content := get(t, http.MethodGet, p.base+Root+"ocsp/fleet/"+path, "200")
		for name, want := range map[string]string{"Content-Type": "application/ocsp-response", "Cache-Control": "max-age=3", "Expires": "GMT", "ETag": `"`} {
			if !strings.Contains(res.Header.Get(name), want) {
				t.Errorf("%s is %q, want %q", name, res.Header.Get(name), want)
			}
		}
		if err := os.WriteFile(filepath.Join(p.dir, "response.der"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(openssl, "ocsp", "-issuer", "pki/issuing.crt", "-cert", "device.crt", "-no_nonce", "-CAfile", "pki/root.crt",
			"-verify_other", "pki/ca.crt", "-respin", "response.der")
		c.Dir = p.dir
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "device.crt: good") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

func TestWhatIsPublished(t *testing.T) {
	p := publish(t, "")
	if _, err := p.authority.Rollover(t.Context(), succession.Next{}); err != nil {
		t.Fatal(err)
	}
	issuers := p.authority.Issuers()
	for item, issuer := range map[string]*x509.Certificate{"1": issuers[0], "2": issuers[1], "root": p.authority.Root()} {
		res, content := get(t, http.MethodGet, p.base+Root+"crl/fleet/"+item+".crl", "200")
		list, err := x509.ParseRevocationList(content)
		if err != nil || list.CheckSignatureFrom(issuer) != nil || res.Header.Get("Content-Type") != "application/pkix-crl" {
			t.Errorf("list %s: %v, %v", item, err, res.Header)
		}
		if _, content = get(t, http.MethodGet, p.base+Root+"ca/fleet/"+item+".cer", "200"); !bytes.Equal(content, issuer.Raw) {
			t.Errorf("certificate %s is another one", item)
		}
		q, err := http.NewRequest(http.MethodGet, p.base+Root+"crl/fleet/"+item+".crl", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("If-None-Match", res.Header.Get("ETag"))
		again, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		again.Body.Close()
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("the same list again: %s", again.Status)
		}
	}
	if _, content := get(t, http.MethodGet, p.base+Root+"crl/fleet.pem", "200"); bytes.Count(content, []byte("BEGIN X509 CRL")) != 2 {
		t.Errorf("lists:\n%s", content)
	}
	if _, content := get(t, http.MethodGet, p.base+Root+"ca/fleet.pem", "200"); bytes.Count(content, []byte("BEGIN CERTIFICATE")) != 3 {
		t.Errorf("certificates:\n%s", content)
	}
}

func TestWhatIsNotPublished(t *testing.T) {
	p := publish(t, "")
	for _, tc := range []struct{ method, path, want string }{
		{"GET", "crl/fleet/2.crl", "404"}, {"GET", "crl/fleet/0.crl", "404"}, {"GET", "crl/fleet/01.crl", "404"}, {"GET", "crl/fleet/-1.crl", "404"},
		{"GET", "crl/fleet/99999999999999999999.crl", "404"}, {"GET", "crl/fleet", "404"}, {"GET", "crl/other.pem", "404"},
		{"GET", "crl/fleet/1.cer", "404"}, {"GET", "ca/fleet/issuing.key", "404"}, {"GET", "ca/fleet/../../pki/root.key", "404"},
		{"GET", "ca/fleet/%2e%2e%2froot.key", "404"}, {"GET", "", "404"}, {"GET", "ocsp/mute/MA==", "404"}, {"GET", "ocsp/other/MA==", "404"},
		{"POST", "crl/fleet/1.crl", "405"}, {"DELETE", "ocsp/fleet", "405"}, {"POST", "ocsp/fleet", "415"}, {"GET", "ocsp/fleet/!", "400"},
	} {
		get(t, tc.method, p.base+Root+tc.path, tc.want)
	}
	get(t, "GET", p.base+"/", "404")
	get(t, "GET", p.base+"/crl/fleet/1.crl", "404")
	large := bytes.NewReader(make([]byte, 1<<20))
	res, err := http.Post(p.base+Root+"ocsp/fleet", "application/ocsp-request", large)
	if err == nil { // the connection may be closed before all is written
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("a request of 1 MiB: %s", res.Status)
		}
	}
}

func TestLocations(t *testing.T) {
	got := fmt.Sprint(Locations("http://pki.example.com/", "fleet", 3, false))
	if want := "{http://pki.example.com/.well-known/countersign/crl/fleet/3.crl  http://pki.example.com/.well-known/countersign/ca/fleet/3.cer}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
