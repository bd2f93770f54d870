package pemfile

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"countersign.dev/internal/control/secret"
)

// The PEM labels of RFC 7468 sections 5, 6, 10 and 11.
const (
	Certificate  = "CERTIFICATE"
	CRL          = "X509 CRL"
	Key          = "PRIVATE KEY"
	EncryptedKey = "ENCRYPTED PRIVATE KEY"
)

// Encode returns a PEM block with that label.
func Encode(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

// EncodeCertificates returns the certificates one after the other, with
// neither blank lines nor text between them: AWS takes no other form.
func EncodeCertificates(certificates ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certificates {
		b = append(b, Encode(Certificate, c.Raw)...)
	}
	return b
}

// EncodeKey returns a private key as PKCS #8.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the private key: %w", err)
	}
	return Encode(Key, der), nil
}

// Read returns the content of the one block in a file, which must have that label.
func Read(path, label string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return only(path, data, label)
}

// only returns the content of the one block that data, of the file at path, has.
func only(path string, data []byte, label string) ([]byte, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s has no PEM block in it: expected %q", path, label)
	}
	if block.Type != label {
		hint := ""
		if label == Key && strings.HasSuffix(block.Type, Key) { // EC, RSA, ENCRYPTED
			hint = "; convert it with `openssl pkey -in OLD -out NEW`"
		}
		return nil, fmt.Errorf("%s holds %q: expected %q%s", path, block.Type, label, hint)
	}
	if another, _ := pem.Decode(rest); another != nil {
		return nil, fmt.Errorf("%s holds more than one PEM block: expected one %q", path, label)
	}
	return block.Bytes, nil
}

// ReadCertificate reads a file with one certificate.
func ReadCertificate(path string) (*x509.Certificate, error) {
	der, err := Read(path, Certificate)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ReadChain reads a file of one or more certificates, the first of which is
// the one that the file is about.
func ReadChain(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != Certificate {
			return nil, fmt.Errorf("%s holds %q: expected certificates", path, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s has no PEM block in it: expected certificates", path)
	}
	return chain, nil
}

// ReadKey reads a private key that nobody but its owner may read.
func ReadKey(path string) (crypto.Signer, error) {
	data, err := secret.Read(path, secret.Disclosed(path))
	if err != nil {
		return nil, err
	}
	der, err := only(path, data, Key)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s is not a PKCS #8 private key: %w", path, err)
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New(path + " holds a key that cannot sign")
	}
	return s, nil
}
