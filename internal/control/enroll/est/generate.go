package est

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"mime/multipart"
	"net/textproto"

	"countersign.dev/internal/traffic/respond"
)

// generate makes the key as well (RFC 7030 section 4.4). It is kept nowhere: an
// answer that is lost cannot be had again.
func (h Handler) generate(ctx context.Context, q *respond.Request) respond.Answer {
	r, refused := h.read(q)
	if r == nil {
		return refused
	}
	asked, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil || asked.CheckSignature() != nil {
		return problem(400, "EnrollmentInvalid", "The signing request cannot be read, or is not signed by its key.")
	}
	if wantsEncryptedKey(r.CSR) {
		return problem(400, "ESTEncryptedKey", "Keys are sent under the encryption of TLS alone (RFC 7030 section 4.4.2).")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return failed(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return failed(err)
	}
	// The same wishes for another key.
	if r.CSR, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: asked.RawSubject, ExtraExtensions: asked.Extensions}, key); err != nil {
		return failed(err)
	}
	got, err := h.Desk.Enroll(ctx, *r)
	if err != nil {
		return denied(err, r)
	}
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for _, part := range []struct {
		kind string
		text []byte
	}{{"application/pkcs8", encode(private)}, {kindCertificates, certificates(got.Chain).Body}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind}, "Content-Transfer-Encoding": {"base64"}})
		if err == nil {
			_, err = w.Write(part.text)
		}
		if err != nil {
			return failed(err)
		}
	}
	if err := parts.Close(); err != nil {
		return failed(err)
	}
	return respond.Answer{Status: 200, Kind: "multipart/mixed; boundary=" + parts.Boundary(), Body: body.Bytes()}
}
