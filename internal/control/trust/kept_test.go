package trust

import (
	"crypto/x509"
	"testing"

	"countersign.dev/internal/testpki"
)

func FuzzAListInDERIsToldFromACertificate(f *testing.F) {
	ca := testpki.NewRoot(f, "Fleet CA")
	f.Add(ca.X509.Raw)
	f.Add(ca.Client("device").X509.Raw)
	f.Add(ca.CRL())
	f.Add(ca.CRL(testpki.Revoke(ca.Client("device"))))
	f.Fuzz(func(t *testing.T, der []byte) {
		is := isDERList(der)
		if _, err := x509.ParseRevocationList(der); err == nil && !is {
			t.Error("a revocation list is not taken for one")
		}
		if _, err := x509.ParseCertificate(der); err == nil && is {
			t.Error("a certificate is taken for a revocation list")
		}
	})
}
