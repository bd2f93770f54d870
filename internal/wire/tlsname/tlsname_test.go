package tlsname_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"os/exec"
	"strings"
	"testing"

	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/wire/tlsname"
)

func TestEverySuiteAndVersionHasAName(t *testing.T) {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if tlsname.Cipher(suite.ID) == "" {
			t.Errorf("%s has no name", suite.Name)
		}
		for _, v := range suite.SupportedVersions {
			if tlsname.Version(v) == "" {
				t.Errorf("version %#x has no name", v)
			}
		}
	}
	for _, id := range []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521,
		tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024} {
		if tlsname.Group(id) == "" {
			t.Errorf("group %v has no name", id)
		}
	}
	if got := tlsname.Cipher(0x0a0a) + tlsname.Version(0x0a0a) + tlsname.Group(0x0a0a); got != "" {
		t.Errorf("GREASE (RFC 8701) is named %q, want no name", got)
	}
}

// OpenSSL itself is the oracle for its names.
func TestCipherAsOpenSSLNamesIt(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	out, err := exec.Command(openssl, "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // "0xC0,0x2F" to name
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 2 {
			names[f[0]] = f[2]
		}
	}
	compared := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		want, ok := names[fmt.Sprintf("0x%02X,0x%02X", suite.ID>>8, suite.ID&0xff)]
		if !ok {
			continue // built without it: RC4, 3DES
		}
		compared++
		if got := tlsname.Cipher(suite.ID); got != want {
			t.Errorf("%s: got %q, OpenSSL says %q", suite.Name, got, want)
		}
	}
	if compared < 15 {
		t.Errorf("OpenSSL knows %d of our suites, expected at least 15; its output:\n%s", compared, out)
	}
}

// HAProxy's names, which are OpenSSL's short ones.
func TestSignaturesAndKeysHaveNames(t *testing.T) {
	for a := x509.SHA1WithRSA; a <= x509.PureEd25519; a++ {
		if dsa := strings.Contains(a.String(), "DSA-") && !strings.Contains(a.String(), "ECDSA-"); (tlsname.Signature(a) == "") != dsa {
			t.Errorf("%v is %q", a, tlsname.Signature(a))
		}
	}
	if got := tlsname.Signature(x509.ECDSAWithSHA256); got != "ecdsa-with-SHA256" {
		t.Error(got)
	}
	if got := tlsname.Signature(x509.SHA256WithRSA); got != "RSA-SHA256" {
		t.Error(got)
	}
	for want, key := range map[string]any{
		"EC256": &ecdsa.PublicKey{Curve: elliptic.P256()}, "EC521": &ecdsa.PublicKey{Curve: elliptic.P521()},
		"RSA2048": &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047)}, "ED25519": ed25519.PublicKey{}, "": "no key",
	} {
		if got := tlsname.Key(key); got != want {
			t.Errorf("%T is %q, want %q", key, got, want)
		}
	}
}
