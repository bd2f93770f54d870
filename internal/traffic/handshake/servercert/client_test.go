package servercert

import (
	"crypto/x509"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
)

// What is shown to targets need not have a name, but be for clients.
func TestACertificateForTargetsIsLoadedWithItsChain(t *testing.T) {
	issuing := testpki.NewRoot(t, "Root").Intermediate("Issuing")
	for name, c := range map[string]struct {
		cert  *testpki.Certificate
		words string // of the only problem, a warning; "": there is none
	}{
		"good":              {issuing.Client("gateway"), ""},
		"without any usage": {issuing.Client("gateway", testpki.EKU()), ""},
		"for servers":       {issuing.Client("gateway", testpki.EKU(x509.ExtKeyUsageServerAuth)), "is not for clients (extended key usage); let it be issued with extended key usage clientAuth"},
		"expired":           {issuing.Client("gateway", testpki.Expired()), "expired on"},
		"must sign nothing": {issuing.Client("gateway", testpki.KeyUsage(x509.KeyUsageKeyEncipherment)), "must not sign handshakes"},
	} {
		t.Run(name, func(t *testing.T) {
			own, problems := LoadClient(testpki.PEM(c.cert.Chain()...), c.cert.KeyPEM())
			if len(own.Certificate) != 2 || own.Leaf == nil || own.PrivateKey == nil {
				t.Errorf("%d certificates are shown", len(own.Certificate))
			}
			if c.words == "" && len(problems) == 0 {
				return
			}
			if len(problems) != 1 || !problems[0].Warning || c.words == "" || !strings.Contains(problems[0].Error(), c.words) {
				t.Errorf("problems: %v, want %q", problems, c.words)
			}
		})
	}
	if own, problems := LoadClient(issuing.Client("a").PEM(), issuing.Client("b").KeyPEM()); len(problems) != 1 || problems[0].Warning || own.Leaf != nil {
		t.Errorf("another's key: %v", problems)
	}
}
