package ca

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/testrequire"
)

// curl, with a device's files, reaches a server that has a server's.
func TestCurlUsesTheFiles(t *testing.T) {
	curl := testrequire.Program(t, "curl")
	dir := t.TempDir()
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(dir, "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]Request{
		"MacID-AA:BB:CC:DD:EE:FF": {},
		"gateway":                 {Profile: issuance.Server, Names: []string{"ip:127.0.0.1"}},
	} {
		r.CommonName = name
		issued, err := a.Issue(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := issued.Save(FilesFor(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	own := FilesFor(dir, "gateway")
	pair, err := tls.LoadX509KeyPair(own.Certificate, own.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	pool := x509.NewCertPool()
	pool.AddCert(a.Root())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	s.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError) // the refusal below
	s.StartTLS()
	defer s.Close()

	f := FilesFor(dir, "MacID-AA:BB:CC:DD:EE:FF")
	args := []string{"-sS", "--noproxy", "*", "--max-time", "20", "--cacert", a.Path(directory.RootCertFile), s.URL}
	out, err := exec.Command(curl, append(args, "--cert", f.Certificate, "--key", f.Key)...).CombinedOutput()
	if err != nil || string(out) != "hello MacID-AA:BB:CC:DD:EE:FF" {
		t.Errorf("curl with the certificate: %v\n%s", err, out)
	}
	if out, err := exec.Command(curl, args...).CombinedOutput(); err == nil || strings.Contains(string(out), "hello") {
		t.Errorf("curl without a certificate was served:\n%s", out)
	}
}
