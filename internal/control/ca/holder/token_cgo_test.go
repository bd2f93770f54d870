//go:build pkcs11 && cgo

package holder_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/succession"
	"countersign.dev/internal/testrequire"
)

// module is SoftHSM's library, where its package puts it.
const module = "/usr/lib/softhsm/libsofthsm2.so"

// An authority whose issuing key never leaves its token issues, revokes, rolls
// over, and is opened again.
func TestSoftHSM(t *testing.T) {
	util, openssl := testrequire.Program(t, "softhsm2-util"), testrequire.Program(t, "openssl")
	dir := t.TempDir()
	settings := filepath.Join(dir, "softhsm2.conf")
	tokens := filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, fmt.Appendf(nil, "directories.tokendir = %s\n", tokens), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", settings)
	run := func(program string, args ...string) {
		t.Helper()
		c := exec.Command(program, args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
	}
	run(util, "--init-token", "--free", "--label", "fleet", "--so-pin", "5678", "--pin", "1234")
	pin := filepath.Join(dir, "pin")
	if err := os.WriteFile(pin, []byte("1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []issuance.KeyType{issuance.ECDSAP256, issuance.RSA2048} {
		uri := func(object string) string {
			return "pkcs11:token=fleet;object=" + string(kind) + object + "?module-path=" + module + "&pin-source=file:" + pin
		}
		pki := filepath.Join(dir, string(kind))
		a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: pki}, Key: kind, IssuingToken: uri("issuing")})
		if err != nil {
			t.Fatal(err)
		}
		if key, err := os.ReadFile(filepath.Join(pki, directory.IssuingKeyFile)); err != nil || string(key) != uri("issuing")+"\n" {
			t.Errorf("issuing.key has %q, %v", key, err)
		}
		if _, err := a.Rollover(t.Context(), succession.Next{Key: kind, Token: uri("second")}); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if a, err = ca.Open(ca.Config{Dir: pki}); err != nil {
			t.Fatal(err)
		}
		issued, err := a.Issue(ca.Request{CommonName: "device"})
		if err != nil {
			t.Fatal(err)
		}
		name := "device-" + string(kind)
		if err := issued.Save(ca.FilesFor(dir, name)); err != nil {
			t.Fatal(err)
		}
		verify := []string{"verify", "-x509_strict", "-CAfile", filepath.Join(pki, "root.crt"), "-untrusted", filepath.Join(pki, "ca.crt"),
			"-crl_check", "-CRLfile", filepath.Join(pki, "crl.pem"), name + ".crt"}
		run(openssl, verify...)
		if done, err := a.RevokeCertificate(issued.Certificate, crl.KeyCompromise, issued.Certificate.NotBefore); err != nil || len(done.Lists.Issuing.RevokedCertificateEntries) != 1 {
			t.Errorf("%+v, %v", done.Lists.Issuing, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
