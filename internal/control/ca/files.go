package ca

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/durable"
)

// Files are where a certificate was saved.
type Files struct {
	Certificate string // the certificate, then its issuer's
	Key         string // "" when there is none
}

// FilesFor returns where the certificate called name would be saved in dir.
// Characters that would mean something to a shell, to curl (which takes what
// follows a colon for a password) or to a file system become hyphens:
// "MacID-AA:BB:CC:DD:EE:FF" is saved as MacID-AA-BB-CC-DD-EE-FF.crt.
func FilesFor(dir, name string) Files {
	safe := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("._@-", r) {
			return r
		}
		return '-'
	}, name)
	// Neither hidden, nor "..", nor taken for an option.
	if trimmed := strings.TrimLeft(safe, ".-"); trimmed != safe {
		safe = "_" + trimmed
	}
	base := filepath.Join(dir, safe)
	return Files{Certificate: base + ".crt", Key: base + ".key"}
}

// Vacant refuses when one of the files exists.
func (f Files) Vacant() error {
	for _, path := range []string{f.Key, f.Certificate} {
		if path == "" {
			continue
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists already: move it away, or name another directory with --out", path)
		}
	}
	return nil
}

// ChainPEM returns the certificate, then its issuer's: what a TLS peer presents.
func (i Issued) ChainPEM() []byte { return pemfile.EncodeCertificates(i.Certificate, i.Issuer) }

// KeyPEM returns the private key as PKCS #8.
func (i Issued) KeyPEM() ([]byte, error) {
	if i.Key == nil {
		return nil, errors.New("the key of a signed request is with whoever made the request")
	}
	return pemfile.EncodeKey(i.Key)
}

// Save writes the files, the key first, and overwrites nothing. A Key of ""
// is not written. The directory is made when it is missing.
func (i Issued) Save(f Files) error {
	if err := os.MkdirAll(filepath.Dir(f.Certificate), 0o700); err != nil {
		return err
	}
	if f.Key != "" {
		key, err := i.KeyPEM()
		if err != nil {
			return err
		}
		if err := durable.CreateFile(f.Key, key, 0o600); err != nil {
			return err
		}
	}
	if err := durable.CreateFile(f.Certificate, i.ChainPEM(), 0o644); err != nil {
		if f.Key != "" {
			err = errors.Join(err, os.Remove(f.Key))
		}
		return err
	}
	return nil
}
