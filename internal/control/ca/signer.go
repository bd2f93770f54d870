package ca

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pemfile"
)

// A signer is one of the two authorities: who it is and how it signs.
type signer struct {
	*issuance.Issuer
	certificate *x509.Certificate
	key         crypto.Signer
}

func openSigner(c Config, certificate *x509.Certificate, keyFile string) (*signer, error) {
	path := filepath.Join(c.Dir, keyFile)
	key, err := pemfile.ReadKey(path)
	if err != nil {
		return nil, err
	}
	s, err := newSigner(c, certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func newSigner(c Config, certificate *x509.Certificate, key crypto.Signer) (*signer, error) {
	i, err := issuance.New(issuance.Config{Certificate: certificate, Key: key, Now: c.Now, Rand: c.Rand})
	if err != nil {
		return nil, err
	}
	return &signer{Issuer: i, certificate: certificate, key: key}, nil
}
