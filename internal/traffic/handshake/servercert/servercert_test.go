package servercert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
)

func TestLoad(t *testing.T) {
	root := testpki.NewRoot(t, "Web Root")
	issuing := root.Intermediate("Issuing")
	server := issuing.Server("api.example.com", testpki.DNS("api.example.com", "*.Example.com"), testpki.IP("192.0.2.1"))
	other := root.Server("other.example")
	leaf, mid, key := server.PEM(), issuing.PEM(), server.KeyPEM()
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	block := func(typ string) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: []byte("secret")}) }
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("secret"),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}})
	keyOf := map[string][]byte{} // of what issue made
	issue := func(opts ...testpki.Option) *testpki.Certificate {
		c := root.Server("api.example.com", opts...)
		keyOf[string(c.PEM())] = c.KeyPEM()
		return c
	}

	for _, c := range []struct {
		name      string
		cert, key []byte
		faults    []string // each of one problem, in order; a leading ~ means a warning
		sent      int
	}{
		{"good", join(leaf, mid), key, nil, 2},
		{"leaf alone", leaf, key, nil, 1},
		{"text around", join([]byte("Bag Attributes\n"), leaf, []byte("\n# issuer\n"), mid), join([]byte("Key:\n"), key), nil, 2},
		{"one file", join(key, leaf, mid), join(key, leaf, mid), nil, 2},
		{"root too", join(leaf, mid, root.PEM()), key, nil, 3},
		{"wrong order", join(mid, leaf), key, []string{"~wrong order"}, 2},
		{"wrong order of issuers", join(leaf, root.PEM(), mid), key, []string{"~wrong order"}, 3},
		{"a stranger among them", join(leaf, other.PEM(), mid), key, []string{"~is no issuer of", "~wrong order"}, 2},
		{"twice", join(leaf, leaf, mid), key, []string{"~there twice"}, 2},
		{"nothing", nil, nil, []string{"cert: there is no certificate", "key: there is no private key"}, 0},
		{"swapped", key, join(leaf, mid), []string{"there is no certificate in it; want at least one PEM block \"CERTIFICATE\"; it holds a private key: cert and key may have been swapped", "swapped"}, 0},
		{"DER", server.X509.Raw, key, []string{"openssl x509 -inform DER"}, 0},
		{"damaged", join(leaf[:100], []byte("!\n"), leaf[100:]), key, []string{"damaged"}, 0},
		{"not a certificate", block("CERTIFICATE"), key, []string{"does not parse"}, 0},
		{"another's key", leaf, other.KeyPEM(), []string{"key: the private key does not belong to the certificate"}, 0},
		{"another kind of key", leaf, issue(testpki.Key(testpki.RSA2048)).KeyPEM(), []string{"does not belong"}, 0},
		{"two keys", leaf, join(key, other.KeyPEM()), []string{"there are 2 private keys"}, 0},
		{"encrypted", leaf, block("ENCRYPTED PRIVATE KEY"), []string{"is encrypted; want a key without passphrase, readable by this program alone; openssl pkey"}, 0},
		{"encrypted, older", leaf, legacy, []string{"is encrypted"}, 0},
		{"damaged key", leaf, join(key[:40], []byte("!"), key[40:]), []string{"the private key is damaged"}, 0},
		{"a key of garbage", leaf, block("PRIVATE KEY"), []string{"does not parse"}, 0},
		{"both wrong", block("CERTIFICATE"), block("PRIVATE KEY"), []string{"cert:1: the certificate does not parse", "key:1: the private key does not parse"}, 0},
		{"expired", issue(testpki.Expired()).PEM(), nil, []string{"~expired on"}, 1},
		{"not yet valid", issue(testpki.NotYetValid()).PEM(), nil, []string{"~is not valid before"}, 1},
		{"a client's", issue(testpki.EKU(x509.ExtKeyUsageClientAuth)).PEM(), nil, []string{"~is not for servers"}, 1},
		{"without usages", issue(testpki.EKU(), testpki.KeyUsage(0)).PEM(), nil, nil, 1},
		{"no signing", issue(testpki.KeyUsage(x509.KeyUsageKeyAgreement)).PEM(), nil, []string{"~must not sign"}, 1},
		{"weak", issue(testpki.Key(testpki.RSA1024)).PEM(), nil, []string{"~RSA key of 1024 bits"}, 1},
		{"no name", issue(testpki.DNS()).PEM(), nil, []string{"~has no subjectAltName"}, 1},
		{"odd name", issue(testpki.DNS("a b", "ok.example")).PEM(), nil, []string{`~for a name that no client can ask for: "a b"`}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := c.key
			if key == nil && c.sent > 0 {
				key = keyOf[string(c.cert)]
			}
			cert, problems := Load(c.cert, key)
			if len(problems) != len(c.faults) {
				t.Fatalf("problems %v, want %q", problems, c.faults)
			}
			for i, p := range problems {
				text, warning := strings.CutPrefix(c.faults[i], "~")
				if !strings.Contains(p.Error(), text) || p.Warning != warning || p.Name != "cert" && p.Name != "key" {
					t.Errorf("problem %q, warning %v; want %q", p.Error(), p.Warning, c.faults[i])
				}
			}
			if len(cert.TLS.Certificate) != c.sent || c.sent > 0 && (cert.TLS.Leaf == nil || cert.TLS.PrivateKey == nil) {
				t.Errorf("%d certificates to send, want %d", len(cert.TLS.Certificate), c.sent)
			}
		})
	}

	cert, _ := Load(join(mid, leaf), key)
	if !cert.TLS.Leaf.Equal(server.X509) || !bytes.Equal(cert.TLS.Certificate[1], issuing.X509.Raw) {
		t.Error("the certificates are not put in order")
	}
	if want := []string{"api.example.com", "*.example.com", "192.0.2.1"}; !slices.Equal(cert.Names, want) {
		t.Errorf("names %q, want %q", cert.Names, want)
	}
}

func TestKeyEncodings(t *testing.T) {
	root := testpki.NewRoot(t, "Web Root")
	for _, kt := range []testpki.KeyType{testpki.P256, testpki.P521, testpki.RSA2048, testpki.Ed25519} {
		c := root.Server("a.example", testpki.Key(kt))
		if _, problems := Load(c.PEM(), c.KeyPEM()); len(problems) > 0 {
			t.Errorf("%s: %v", kt, problems)
		}
	}
}
