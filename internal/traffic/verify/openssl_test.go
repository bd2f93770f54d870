package verify_test

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
)

// What OpenSSL thinks of a chain with the purpose sslclient, and what we think,
// is the same; where it is not, ours is stricter, and the case says why.
func TestVerifyAsOpenSSL(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Issuing")
	revoked := mid.Client("revoked")
	crls := [][]byte{root.CRL(), mid.CRL(testpki.Revoke(revoked))}
	s := store(t, verify.Config{Revocation: revocation.Config{Lists: lists(t, crls...), Scope: revocation.ScopeChain, Missing: revocation.Refuse}}, root)

	dir := t.TempDir()
	ca, list := testpki.WriteFile(t, filepath.Join(dir, "ca.pem"), root.PEM()), testpki.WriteFile(t, filepath.Join(dir, "crl.pem"), testpki.CRLPEM(crls...))
	narrow := root.Intermediate("Narrow", testpki.PermittedDNS("fleet.example"))
	usage := func(u x509.KeyUsage) *testpki.Certificate { return mid.Client("d", testpki.KeyUsage(u)) }
	for name, tt := range map[string]struct {
		leaf     *testpki.Certificate
		stricter bool
	}{
		"good":                   {leaf: mid.Client("device")},
		"RSA":                    {leaf: mid.Client("device", testpki.Key(testpki.RSA2048))},
		"revoked":                {leaf: revoked},
		"expired":                {leaf: mid.Client("d", testpki.Expired())},
		"not yet valid":          {leaf: mid.Client("d", testpki.NotYetValid())},
		"no EKU":                 {leaf: mid.Client("d", testpki.EKU())},
		"server EKU":             {leaf: mid.Server("localhost")},
		"any EKU":                {leaf: mid.Client("d", testpki.EKU(x509.ExtKeyUsageAny))},
		"unknown EKU":            {leaf: mid.Client("d", testpki.EKU(), testpki.UnknownEKU(1, 2, 3))},
		"no key usage":           {leaf: usage(0)},
		"key agreement":          {leaf: usage(x509.KeyUsageKeyAgreement)},
		"key encipherment":       {leaf: usage(x509.KeyUsageKeyEncipherment)},
		"certificate signing":    {leaf: usage(x509.KeyUsageCertSign)},
		"content commitment":     {leaf: usage(x509.KeyUsageContentCommitment)},
		"critical extension":     {leaf: mid.Client("d", testpki.Extension(true, []byte{5, 0}, 1, 2, 3))},
		"self-signed":            {leaf: testpki.NewSelfSigned(t, "me")},
		"same name, another key": {leaf: testpki.NewRoot(t, "Root").Client("d")},
		"no list":                {leaf: root.Intermediate("Quiet").Client("d")},
		"name constraints":       {leaf: narrow.Client("d", testpki.DNS("evil.example"))},
		"leaf as issuer":         {leaf: mid.Client("d").Client("forged")},
		"path length":            {leaf: root.Intermediate("Short", testpki.MaxPathLen(0)).Intermediate("Below").Client("d")},
		"CA as leaf":             {leaf: mid, stricter: true}, // a CA does not connect as a device
	} {
		chain := tt.leaf.Chain()
		base := filepath.Join(dir, fmt.Sprintf("%x", chain[0].SerialNumber))
		leaf := testpki.WriteFile(t, base+".pem", testpki.PEM(chain[0]))
		args := []string{"verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", ca, "-crl_check_all", "-CRLfile", list}
		if len(chain) > 1 {
			args = append(args, "-untrusted", testpki.WriteFile(t, base+"-untrusted.pem", testpki.PEM(chain[1:]...)))
		}
		cmd := exec.Command(openssl, append(args, leaf)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		_, denial := s.Verify(chain, verify.Options{})
		if theirs, ours := err == nil, denial == nil; theirs != ours && !(tt.stricter && theirs) {
			t.Errorf("%s: OpenSSL says %s; we say %v", name, out, denial)
		}
	}
}
