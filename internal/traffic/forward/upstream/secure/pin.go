package secure

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
)

// Pin returns the pin of a certificate's key as tls.pins has it: sha256/BASE64
// (RFC 7469 section 2.4).
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256/" + base64.StdEncoding.EncodeToString(sum[:])
}
