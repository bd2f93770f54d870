package ca

import (
	"crypto/x509"
	"errors"
	"fmt"

	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/issuance/lint"
)

// A signer is the root or an issuing authority: who it is and how it signs.
type signer struct {
	*issuance.Issuer // nil without a key
	certificate      *x509.Certificate
	key              holder.Key
	number           int // of an issuing authority, from 1
}

// newSigner makes the root, with the number 0, or an issuing authority.
func newSigner(c Config, certificate *x509.Certificate, key holder.Key, number int) (*signer, error) {
	var at lint.Locations
	if number > 0 && c.Locations != nil {
		at = c.Locations(number)
	}
	i, err := issuance.New(issuance.Config{Certificate: certificate, Key: key, Now: c.Now, Rand: c.Rand, Locations: at})
	if err != nil {
		return nil, err
	}
	return &signer{Issuer: i, certificate: certificate, key: key, number: number}, nil
}

// id is how the ledger calls it: its subject key identifier.
func (s *signer) id() string { return fmt.Sprintf("%X", s.certificate.SubjectKeyId) }

// errNoRootKey says what cannot be done while the root's key is elsewhere.
func (a *Authority) errNoRootKey(what string) error {
	return errors.New(what + " takes the root's key, which is not here, or encrypted: bring it, and name it with --root-key FILE and, where it is encrypted, --root-passphrase-file FILE")
}
