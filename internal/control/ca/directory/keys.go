package directory

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pemfile"
)

// openRoot opens the root's key, if it is here.
func (d *Directory) openRoot() error {
	path := d.cfg.RootKey
	if path == "" {
		path = d.Path(RootKeyFile)
	}
	key, err := holder.Open(path, d.cfg.RootPassphrase)
	if d.cfg.RootKey == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, holder.ErrLocked)) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := NewSigner(d.cfg, d.root.Certificate, key, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, errors.Join(err, key.Close()))
	}
	d.root = s
	return nil
}

// Latest returns the issuing authorities, in the order in which they were made,
// those that another process has made included.
func (d *Directory) Latest() ([]*Signer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		number := len(d.issuers) + 1
		path := d.Path(IssuingFile(IssuingCertFile, number))
		certificate, err := pemfile.ReadCertificate(path)
		if number > 1 && errors.Is(err, fs.ErrNotExist) {
			return slices.Clone(d.issuers), nil
		}
		if err != nil {
			return nil, err
		}
		if err := certificate.CheckSignatureFrom(d.root.Certificate); err != nil {
			return nil, fmt.Errorf("%s was not signed by %s: %w", path, d.Path(RootCertFile), err)
		}
		s, err := d.openIssuing(certificate, number)
		if err != nil {
			return nil, err
		}
		d.issuers = append(d.issuers, s)
	}
}

// openIssuing opens an issuing authority. Once it has expired its key is good
// for nothing, and may have been destroyed.
func (d *Directory) openIssuing(certificate *x509.Certificate, number int) (*Signer, error) {
	path := d.Path(IssuingFile(IssuingKeyFile, number))
	key, err := holder.Open(path, d.cfg.Passphrase)
	if errors.Is(err, fs.ErrNotExist) && d.cfg.Now().After(certificate.NotAfter) {
		return &Signer{Certificate: certificate, Number: number}, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := NewSigner(d.cfg, certificate, key, number)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, key.Close()))
	}
	return s, nil
}

// CreateIssuingKey makes the key of the issuing authority with that number, which has
// no certificate yet: a file of that name is what an earlier attempt has left.
func (d *Directory) CreateIssuingKey(number int, t issuance.KeyType, token string) (holder.Key, error) {
	path := d.Path(IssuingFile(IssuingKeyFile, number))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return holder.Create(holder.Place{Path: path, Passphrase: d.cfg.Passphrase, Token: token}, t)
}
