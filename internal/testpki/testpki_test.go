package testpki

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
	"time"
)

func TestGoodChainVerifies(t *testing.T) {
	for _, kt := range []KeyType{P256, P384, P521, RSA2048, Ed25519} {
		root := NewRoot(t, "Root", Key(kt))
		leaf := root.Intermediate("Issuing", Key(kt)).Client("device", Key(kt))
		mids := x509.NewCertPool()
		for _, c := range leaf.Chain()[1:] {
			mids.AddCert(c)
		}
		_, err := leaf.X509.Verify(x509.VerifyOptions{Roots: root.Pool(), Intermediates: mids,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			t.Errorf("%s: %v", kt, err)
		}
	}
}

func TestFaultsAreThere(t *testing.T) {
	root := NewRoot(t, "Root")
	if c := root.Client("old", Expired()).X509; !c.NotAfter.Before(time.Now()) {
		t.Error("Expired is not expired")
	}
	if c := root.Client("v1", Version1()).X509; c.Version != 1 || len(c.Extensions) != 0 {
		t.Errorf("Version1: version %d with %d extensions", c.Version, len(c.Extensions))
	}
	for _, kt := range []KeyType{P256, RSA2048} {
		ca := NewRoot(t, "Root", Key(kt))
		got := ca.Client("sha1", SHA1(ca)).X509.SignatureAlgorithm
		if got != x509.SHA1WithRSA && got != x509.ECDSAWithSHA1 {
			t.Errorf("SHA1 under %s: signed with %v", kt, got)
		}
	}
	if c := root.Client("odd", UnknownSignatureAlgorithm()).X509; c.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		t.Errorf("UnknownSignatureAlgorithm: %v", c.SignatureAlgorithm)
	}
	if c := root.Client("huge", PublicKey(HugeRSA(t, 16384))).X509; c.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("HugeRSA: %v", c.PublicKeyAlgorithm)
	}
}

func TestRevocationListParses(t *testing.T) {
	root := NewRoot(t, "Root")
	leaf := root.Client("gone")
	list, err := x509.ParseRevocationList(root.CRL(Revoke(leaf), CRLNumber(7)))
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(root.X509); err != nil {
		t.Error(err)
	}
	if n := list.RevokedCertificateEntries; len(n) != 1 || n[0].SerialNumber.Cmp(leaf.X509.SerialNumber) != 0 || list.Number.Int64() != 7 {
		t.Errorf("list %v with entries %v", list.Number, n)
	}
}

func TestWrittenFilesAreAPair(t *testing.T) {
	cert, key := NewRoot(t, "Root").Server("localhost").Write(t.TempDir(), "server")
	data, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := pem.Decode(data); b == nil || b.Type != "PRIVATE KEY" {
		t.Errorf("%s is no private key", key)
	}
	if info, _ := os.Stat(key); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
	if data, _ = os.ReadFile(cert); len(data) == 0 {
		t.Errorf("%s is empty", cert)
	}
}
