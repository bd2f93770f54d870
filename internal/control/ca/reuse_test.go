package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
)

// A key is one holder's: who asks with another's gets nothing, who renews with its
// own does, until it is known to somebody else.
func TestAKeyIsNotCertifiedForTwo(t *testing.T) {
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	key, err := issuance.ECDSAP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.Sign(signingRequest(t, key, "one"), SignRequest{})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name string, key crypto.Signer, words string, r SignRequest) {
		t.Helper()
		if _, err := a.Sign(signingRequest(t, key, name), r); !ledger.KeyConflict(err) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want a conflict with %q", name, err, words)
		}
	}
	refused("two", key, `"CN=one" already, this one is for "CN=two"`, SignRequest{})
	refused("two", key, `"CN=one" already`, SignRequest{Profile: issuance.Client})
	refused("root", a.dir.Root().Key, `of a certificate of`, SignRequest{})
	if _, err := a.Sign(signingRequest(t, key, "one"), SignRequest{}); err != nil {
		t.Errorf("its own renewal: %v", err)
	}
	if _, err := a.Delegate(t.Context(), a.Issuing(), key.Public()); !ledger.KeyConflict(err) {
		t.Errorf("a responder with a device's key: %v", err)
	}
	if _, err := a.RevokeCertificate(first.Certificate, crl.KeyCompromise, time.Time{}); err != nil {
		t.Fatal(err)
	}
	refused("one", key, "somebody else has the key", SignRequest{})

	// The ledger of before knows keys as well.
	again, err := Open(Config{Dir: a.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	a = again
	refused("one", key, "somebody else has the key", SignRequest{})
	n := 0
	for c, err := range a.Certificates(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Profile != string(issuance.Root) && c.Profile != string(issuance.Issuing) {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d certificates are on record, want 2", n)
	}
}

func signingRequest(t *testing.T, key crypto.Signer, name string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}
