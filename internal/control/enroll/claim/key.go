package claim

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ReadKey returns the SHA-256 of a SubjectPublicKeyInfo: of what is in PEM (a
// public key, a certificate, a signing request), or as sha256:HEX, or as
// sha256/BASE64.
func ReadKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return readPEMKey(block)
	}
	var digest []byte
	var err error
	if rest, ok := strings.CutPrefix(text, "sha256/"); ok {
		digest, err = base64.StdEncoding.DecodeString(rest)
	} else {
		digest, err = hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(text), "sha256:"), ":", ""))
	}
	if err != nil || len(digest) != sha256.Size {
		return nil, fmt.Errorf("%q is none: expected sha256:HEX of the SubjectPublicKeyInfo, or a public key, a certificate or a signing request in PEM", text)
	}
	return digest, nil
}

func readPEMKey(block *pem.Block) ([]byte, error) {
	spki := block.Bytes
	switch block.Type {
	case "PUBLIC KEY":
		if _, err := x509.ParsePKIXPublicKey(spki); err != nil {
			return nil, err
		}
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		spki = c.RawSubjectPublicKeyInfo
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		r, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, err
		}
		spki = r.RawSubjectPublicKeyInfo
	default:
		return nil, errors.New("it is a " + block.Type + ": expected a public key, a certificate or a signing request")
	}
	digest := sha256.Sum256(spki)
	return digest[:], nil
}
