package device

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"countersign.dev/internal/testpki"
)

// certsOnly is an answer of EST, with line breaks as some write them.
func certsOnly(t testing.TB, all ...*x509.Certificate) []byte {
	t.Helper()
	var der []byte
	for _, c := range all {
		der = append(der, c.Raw...)
	}
	message, err := pkcs7.DegenerateCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(message)
	return []byte(text[:40] + "\r\n" + text[40:] + "\n")
}

func freshKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The certificates of SignedData are a set: in any order (RFC 5652 section 10.2.3).
func TestAChainIsPutInOrderAndItsRootLeftOut(t *testing.T) {
	key := freshKey(t)
	root := testpki.NewRoot(t, "Root")
	upper := root.Intermediate("Upper")
	lower := upper.Intermediate("Lower")
	leaf := lower.Client("MacID-1", testpki.WithKey(key))
	stranger := testpki.NewRoot(t, "Stranger").Client("MacID-1")
	want := [][]byte{leaf.X509.Raw, lower.X509.Raw, upper.X509.Raw}
	shuffled := []*x509.Certificate{root.X509, upper.X509, stranger.X509, leaf.X509, lower.X509}

	fromEST, err := readCertsOnly(certsOnly(t, shuffled...), key)
	if err != nil {
		t.Fatal(err)
	}
	fromPEM, err := readPEM(testpki.PEM(shuffled...), key)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][][]byte{"EST": fromEST.Certificate, "PEM": fromPEM.Certificate} {
		if len(got) != len(want) {
			t.Errorf("%s: %d certificates, want %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("%s: certificate %d is another one", name, i)
			}
		}
	}
}

func TestACertificateForAnotherKeyIsNotTaken(t *testing.T) {
	leaf := testpki.NewRoot(t, "Root").Client("MacID-1")
	if _, err := readPEM(leaf.PEM(), freshKey(t)); err == nil || !strings.Contains(err.Error(), "none of its 1 certificates is for the device's key") {
		t.Errorf("PEM: %v", err)
	}
	if _, err := readCertsOnly(certsOnly(t, leaf.X509), freshKey(t)); err == nil || !strings.Contains(err.Error(), "none of its 1 certificates") {
		t.Errorf("EST: %v", err)
	}
}

// What an operator has uploaded comes with its key, whatever key the device has.
func TestAnUploadedKeyComesWithItsCertificate(t *testing.T) {
	for name, kind := range map[string]testpki.KeyType{"P-256": testpki.P256, "RSA": testpki.RSA2048} {
		leaf := testpki.NewRoot(t, "Root").Client("MacID-1", testpki.Key(kind))
		got, err := readPEM(append(leaf.PEM(), leaf.KeyPEM()...), freshKey(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !got.PrivateKey.(interface{ Equal(crypto.PrivateKey) bool }).Equal(leaf.Key) {
			t.Errorf("%s: it is another key", name)
		}
	}
}

func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	key := freshKey(t)
	leaf := testpki.NewRoot(t, "Root").Client("MacID-1", testpki.WithKey(key))
	good := certsOnly(t, leaf.X509)
	if _, err := readCertsOnly(good, key); err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(good), nil)))
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string][]byte{
		"nothing": nil, "no base64": []byte("<html>"), "a certificate alone": []byte(base64.StdEncoding.EncodeToString(leaf.X509.Raw)),
		"no certificate": certsOnly(t), "cut off": []byte(base64.StdEncoding.EncodeToString(der[:len(der)-9])),
		"too long": []byte(base64.StdEncoding.EncodeToString(append(der, 0))),
	} {
		if _, err := readCertsOnly(answer, key); err == nil {
			t.Errorf("EST: %s is taken", name)
		}
	}
	for name, answer := range map[string]string{
		"nothing": "", "no PEM": "<html>", "a broken certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})),
		"a broken key": string(leaf.PEM()) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})),
	} {
		if _, err := readPEM([]byte(answer), key); err == nil {
			t.Errorf("PEM: %s is taken", name)
		}
	}
}

// RFC 9110 section 10.2.3.
func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for field, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "0": time.Second, "60": time.Minute, "99999999999999999999": longestTold, "4000000": longestTold,
		"Sun, 22 Nov 2026 10:02:00 GMT": 2 * time.Minute, "Sun, 22 Nov 2026 09:00:00 GMT": time.Second,
	} {
		if got := retryAfter(field, now); got != want {
			t.Errorf("%q: %v, want %v", field, got, want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	key := freshKey(f)
	root := testpki.NewRoot(f, "Root")
	leaf := root.Client("MacID-1", testpki.WithKey(key))
	f.Add(certsOnly(f, leaf.X509, root.X509))
	f.Add(append(leaf.PEM(), leaf.KeyPEM()...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := readCertsOnly(data, key); err == nil && (got.Leaf == nil || len(got.Certificate) == 0) {
			t.Error("EST: no certificate, and no error")
		}
		if got, err := readPEM(data, key); err == nil && (got.Leaf == nil || len(got.Certificate) == 0) {
			t.Error("PEM: no certificate, and no error")
		}
	})
}
