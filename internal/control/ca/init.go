package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"countersign.dev/internal/control/ca/durable"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/request"
)

// Defaults of a Founding and a Request.
const (
	day                    = 24 * time.Hour
	DefaultName            = "Fleet CA"
	DefaultRootLifetime    = 20 * 365 * day
	DefaultIssuingLifetime = 10 * 365 * day
	DefaultLifetime        = 365 * day
	DefaultCRLLifetime     = 24 * time.Hour
)

// A Founding is what a new authority is to be. Its zero values are the defaults.
type Founding struct {
	Config
	Name            string // common names become "NAME Root", "NAME Issuing"
	Key             issuance.KeyType
	RootLifetime    time.Duration
	IssuingLifetime time.Duration
}

// Init makes a new authority in a directory that does not exist or is empty.
func Init(f Founding) (*Authority, error) {
	if f.Name == "" {
		f.Name = DefaultName
	}
	if f.RootLifetime == 0 {
		f.RootLifetime = DefaultRootLifetime
	}
	if f.IssuingLifetime == 0 {
		f.IssuingLifetime = DefaultIssuingLifetime
	}
	root, issuing, err := f.authorities()
	if err != nil {
		return nil, err
	}
	created, err := vacantDir(f.Dir)
	if err != nil {
		return nil, err
	}
	// Whoever creates this file founds the authority; of two at once the other
	// must not tidy up after itself here.
	if err := writeKey(filepath.Join(f.Dir, RootKeyFile), root.key); err != nil {
		return nil, err
	}
	a, err := f.write(root, issuing)
	if err != nil {
		// Nobody has seen any of it: half an authority is only in the way.
		return nil, errors.Join(err, f.clear(created))
	}
	return a, nil
}

func writeKey(path string, key crypto.Signer) error {
	data, err := pemfile.EncodeKey(key)
	if err != nil {
		return err
	}
	return durable.CreateFile(path, data, 0o600)
}

// clear takes back what an unfinished Init has written.
func (f Founding) clear(created bool) (err error) {
	for _, name := range []string{RootCertFile, RootKeyFile, IssuingCertFile, IssuingKeyFile, BundleFile,
		CRLFile, RootCRLFile, IssuedDir, LedgerFile, lockFile} {
		err = errors.Join(err, os.RemoveAll(filepath.Join(f.Dir, name)))
	}
	if created {
		err = errors.Join(err, os.Remove(f.Dir))
	}
	return err
}

// authorities makes both keys and certificates, in memory.
func (f Founding) authorities() (root, issuing *signer, err error) {
	if root, err = f.authority(nil, issuance.Root, f.Name+" Root", f.RootLifetime); err != nil {
		return nil, nil, fmt.Errorf("root: %w", err)
	}
	if issuing, err = f.authority(root, issuance.Issuing, f.Name+" Issuing", f.IssuingLifetime); err != nil {
		return nil, nil, fmt.Errorf("issuing authority: %w", err)
	}
	return root, issuing, nil
}

// authority makes one of the two; a root, without a parent, signs itself.
func (f Founding) authority(parent *signer, p issuance.Profile, name string, lifetime time.Duration) (*signer, error) {
	key, err := f.Key.Generate()
	if err != nil {
		return nil, err
	}
	if parent == nil {
		if parent, err = newSigner(f.Config, nil, key); err != nil {
			return nil, err
		}
	}
	subject, err := request.CommonName(name)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", name, err)
	}
	checked, err := parent.Prepare(issuance.Request{Profile: p, Subject: subject, PublicKey: key.Public(), Lifetime: lifetime})
	if err != nil {
		return nil, err
	}
	certificate, err := parent.Issue(checked)
	if err != nil {
		return nil, err
	}
	return newSigner(f.Config, certificate, key)
}

// write puts everything but the root's key into the directory, the ledger
// last: a directory without one is not an authority yet.
func (f Founding) write(root, issuing *signer) (*Authority, error) {
	a := &Authority{dir: f.Dir}
	if err := writeKey(a.Path(IssuingKeyFile), issuing.key); err != nil {
		return nil, err
	}
	for file, certificates := range map[string][]*x509.Certificate{
		RootCertFile:    {root.certificate},
		IssuingCertFile: {issuing.certificate},
		BundleFile:      {root.certificate, issuing.certificate},
	} {
		if err := durable.CreateFile(a.Path(file), pemfile.EncodeCertificates(certificates...), 0o644); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(a.Path(IssuedDir), 0o755); err != nil {
		return nil, err
	}
	if _, err := ledger.Create(a.Path(LedgerFile)); err != nil {
		return nil, err
	}
	a, err := Open(f.Config)
	if err != nil {
		return nil, err
	}
	return a, a.locked(func() error {
		if err := a.record(root.certificate, issuance.Root); err != nil {
			return err
		}
		if err := a.record(issuing.certificate, issuance.Issuing); err != nil {
			return err
		}
		_, err := a.publish(DefaultCRLLifetime)
		return err
	})
}

// vacantDir makes the directory, or takes an empty one, for its owner alone.
func vacantDir(dir string) (created bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return false, err
		}
		return true, durable.SyncDir(filepath.Dir(filepath.Clean(dir)))
	}
	if err != nil {
		return false, err
	}
	var names []string
	for _, e := range entries {
		if e.Name() == RootCertFile || e.Name() == RootKeyFile {
			return false, fmt.Errorf("%s holds an authority already: look at it with `countersign ca show %s`, or name another directory", dir, dir)
		}
		if e.Name() != "lost+found" { // in the root of a freshly made volume
			names = append(names, e.Name())
		}
	}
	if len(names) > 0 {
		return false, fmt.Errorf("%s is not empty (%s): expected a new or an empty directory, for it will hold private keys",
			dir, strings.Join(names[:min(3, len(names))], ", "))
	}
	return false, os.Chmod(dir, 0o700)
}
