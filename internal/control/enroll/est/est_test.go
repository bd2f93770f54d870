package est

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/respond"
)

// withAttributes is a signing request with attributes that crypto/x509 cannot
// write; its signature is not good any more.
func withAttributes(t testing.TB, attributes ...any) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "one"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, a := range attributes {
		one, err := asn1.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one...)
	}
	var info struct {
		Version    int
		Subject    asn1.RawValue
		Key        asn1.RawValue
		Attributes asn1.RawValue `asn1:"optional,tag:0"`
	}
	if _, err := asn1.Unmarshal(parsed.RawTBSCertificateRequest, &info); err != nil {
		t.Fatal(err)
	}
	info.Attributes = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: all}
	der, err = asn1.Marshal(struct {
		Info      any
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{info, pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256}, asn1.BitString{Bytes: []byte{0}, BitLength: 8}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

type attribute struct {
	OID    asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

func text(tag int, s string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(s)} }

// RFC 2985 section 5.4.1, RFC 7030 section 4.4.1.
func TestTheAttributesOfASigningRequestAreRead(t *testing.T) {
	der := withAttributes(t,
		attribute{asn1.ObjectIdentifier{1, 2, 3}, []asn1.RawValue{text(asn1.TagUTF8String, "other")}},
		attribute{oidChallenge, []asn1.RawValue{text(asn1.TagPrintableString, "the secret")}})
	if got := challenge(der); got != "the secret" {
		t.Errorf("the challenge password is %q", got)
	}
	if wantsEncryptedKey(der) {
		t.Error("an encrypted key is wanted")
	}
	for _, oid := range []asn1.ObjectIdentifier{oidDecryptKey, oidAsymmetricDecryptKey} {
		if !wantsEncryptedKey(withAttributes(t, attribute{oid, []asn1.RawValue{text(asn1.TagOctetString, "id")}})) {
			t.Errorf("%s does not ask for an encrypted key", oid)
		}
	}
	for _, der := range [][]byte{nil, {0x30}, withAttributes(t), withAttributes(t, attribute{oidChallenge, []asn1.RawValue{text(asn1.TagInteger, "1")}})} {
		if got := challenge(der); got != "" {
			t.Errorf("the challenge password of %x is %q", der, got)
		}
	}
}

// T31: without a certificate every operation that enrolls is refused, and what is
// no operation is unknown.
func TestEveryOperationWithoutACertificateIsRefused(t *testing.T) {
	desk := enroll.New(enroll.Config{})
	desk.Use(&enroll.Settings{PerSource: 1000, PerDevice: 1000})
	h := Handler{Desk: desk, Label: "fleet"}
	body := []byte(base64.StdEncoding.EncodeToString(withAttributes(t)))
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"POST", "simpleenroll", 403}, {"POST", "fleet/simpleenroll", 403}, {"POST", "simplereenroll", 403}, {"POST", "serverkeygen", 400},
		{"GET", "simpleenroll", 405}, {"PUT", "simplereenroll", 405}, {"POST", "cacerts", 405}, {"DELETE", "csrattrs", 405},
		{"POST", "fullcmc", 404}, {"GET", "", 404}, {"POST", "other/simpleenroll", 404}, {"POST", "fleet/fleet/simpleenroll", 404},
		{"POST", "simpleenroll/", 404}, {"POST", "SimpleEnroll", 404}, {"POST", "../est/simpleenroll", 404}, {"GET", "pkiclient.exe", 404},
		{"GET", "cacerts", 404}, // there is no authority
	} {
		q := &respond.Request{Method: c.method, Path: Root + c.path, Header: http.Header{"Content-Type": {"application/pkcs10"}}, Body: body, Client: identify.Anonymous()}
		if a := h.Respond(t.Context(), q); a.Status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, a.Status, a.Body, c.status)
		}
	}
	q := &respond.Request{Method: "POST", Path: Root + "simpleenroll", Header: http.Header{"Content-Type": {"text/plain"}}, Body: body, Client: identify.Anonymous()}
	if a := h.Respond(t.Context(), q); a.Status != 415 {
		t.Errorf("another media type: %d", a.Status)
	}
}

func FuzzRequest(f *testing.F) {
	der := withAttributes(f, attribute{oidChallenge, []asn1.RawValue{text(asn1.TagUTF8String, "x")}})
	f.Add([]byte(base64.StdEncoding.EncodeToString(der)), "Basic b25lOnNlY3JldA==")
	f.Add(der, "")
	f.Add([]byte(strings.Repeat("\r\n", 100)), "Basic")
	desk := enroll.New(enroll.Config{})
	desk.Use(&enroll.Settings{PerSource: 1 << 30, PerDevice: 1 << 30})
	h := Handler{Desk: desk, Label: "fleet"}
	f.Fuzz(func(t *testing.T, body []byte, authorization string) {
		for _, operation := range []string{"simpleenroll", "simplereenroll", "serverkeygen"} {
			q := &respond.Request{Method: "POST", Path: Root + operation, Body: body, Client: identify.Anonymous(),
				Header: http.Header{"Content-Type": {"application/pkcs10"}, "Authorization": {authorization}}}
			if a := h.Respond(t.Context(), q); a.Status != 400 && a.Status != 403 {
				t.Errorf("%s of %q: %d", operation, body, a.Status)
			}
		}
		attributes(body, func(asn1.ObjectIdentifier, cryptobyte.String) {})
	})
}
