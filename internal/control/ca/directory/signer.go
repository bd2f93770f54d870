package directory

import (
	"crypto/x509"
	"errors"
	"fmt"

	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/issuance/lint"
)

// A Signer is the root or an issuing authority: who it is and how it signs.
type Signer struct {
	*issuance.Issuer // nil without a key
	Certificate      *x509.Certificate
	Key              holder.Key
	Number           int // of an issuing authority, from 1
}

// NewSigner makes the root, with the number 0, or an issuing authority.
func NewSigner(c Config, certificate *x509.Certificate, key holder.Key, number int) (*Signer, error) {
	var at lint.Locations
	if number > 0 && c.Locations != nil {
		at = c.Locations(number)
	}
	i, err := issuance.New(issuance.Config{Certificate: certificate, Key: key, Now: c.Now, Rand: c.Rand, Locations: at})
	if err != nil {
		return nil, err
	}
	return &Signer{Issuer: i, Certificate: certificate, Key: key, Number: number}, nil
}

// ID is how the ledger calls it: its subject key identifier.
func (s *Signer) ID() string { return fmt.Sprintf("%X", s.Certificate.SubjectKeyId) }

// NoRootKey says what cannot be done while the root's key is elsewhere.
func NoRootKey(what string) error {
	return errors.New(what + " takes the root's key, which is not here, or encrypted: bring it, and name it with --root-key FILE and, where it is encrypted, --root-passphrase-file FILE")
}
