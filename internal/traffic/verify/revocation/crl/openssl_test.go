package crl_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// Lists that OpenSSL makes are read and their signatures hold: version 1 and 2,
// every digest, RSA-PSS.
func TestReadsOpenSSLsLists(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	for _, tt := range []struct {
		name string
		key  testpki.KeyType
		args []string
		v2   bool
	}{
		{"ECDSA", testpki.P256, []string{"-md", "sha256"}, true},
		{"version 1", testpki.P256, []string{"-md", "sha256"}, false},
		{"P-384", testpki.P384, []string{"-md", "sha384"}, true},
		{"RSA SHA-512", testpki.RSA2048, []string{"-md", "sha512"}, true},
		{"PSS SHA-256", testpki.RSA2048, []string{"-md", "sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}, true},
		{"PSS SHA-384", testpki.RSA2048, []string{"-md", "sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			root := testpki.NewRoot(t, "Root", testpki.Key(tt.key))
			leaf := root.Client("device", testpki.Serial("03A5B1"))
			cert := testpki.WriteFile(t, filepath.Join(dir, "ca.crt"), root.PEM())
			key := testpki.WriteFile(t, filepath.Join(dir, "ca.key"), root.KeyPEM())
			// Version 1 has no place for a reason: with one OpenSSL makes version 2.
			reason := "unspecified"
			date := "260102030405Z"
			if tt.v2 {
				reason = "keyCompromise"
				date += ",keyCompromise"
			}
			// openssl ca's database: state, expiry, revocation date and reason, serial, file, subject.
			index := testpki.WriteFile(t, filepath.Join(dir, "index.txt"), []byte("R\t360101000000Z\t"+date+"\t03A5B1\tunknown\t/CN=device\n"))
			conf := fmt.Sprintf("[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ncertificate=%s\nprivate_key=%s\ndefault_crl_days=3\n", index, cert, key)
			if tt.v2 {
				conf += "crlnumber=" + testpki.WriteFile(t, filepath.Join(dir, "crlnumber"), []byte("1F\n")) + "\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid:always\n"
			}
			out := filepath.Join(dir, "crl.pem")
			cmd := exec.Command(openssl, append([]string{"ca", "-gencrl", "-batch", "-out", out, "-config", testpki.WriteFile(t, filepath.Join(dir, "conf"), []byte(conf))}, tt.args...)...)
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			all, err := crl.Parse("crl.pem", data)
			if err != nil {
				t.Fatal(err)
			}
			l := all[0]
			if e, ok := l.Lookup(leaf.X509.SerialNumber); !ok || e.Reason.String() != reason || e.RevokedAt.Format("060102150405Z") != "260102030405Z" {
				t.Errorf("entry %+v %v", e, ok)
			}
			if !l.IssuedBy(root.X509) {
				t.Error("the signature does not hold")
			}
			if tt.v2 && (l.Number == nil || l.Number.Int64() != 0x1f) {
				t.Errorf("number %v", l.Number)
			}
		})
	}
}
