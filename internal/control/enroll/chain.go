package enroll

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/wire/dn"
)

// credential is a certificate as the registry keeps it.
func credential(id string, c *x509.Certificate, at time.Time) (*countersign.Credential, error) {
	who := identify.Presented(c)
	if who == nil {
		return nil, errors.New("the certificate cannot be described")
	}
	return &countersign.Credential{Device: id, Serial: who.Serial, Fingerprint: who.Fingerprint, Issuer: who.Issuer,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, State: countersign.CredentialValid, Added: at}, nil
}

func serial(c *x509.Certificate) string { return dn.Serial(c.SerialNumber) }

func encodeChain(chain []*x509.Certificate) []byte { return pemfile.EncodeCertificates(chain...) }

func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain, data = append(chain, c), rest
	}
	if len(chain) == 0 {
		return nil, errors.New("the delivered certificate is not in the store any more")
	}
	return chain, nil
}

// keyDigest is the SHA-256 of the SubjectPublicKeyInfo in a certificate.
func keyDigest(c *x509.Certificate) []byte {
	digest := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return digest[:]
}
