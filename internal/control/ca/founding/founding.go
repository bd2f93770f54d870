package founding

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/control/ca/succession"
	"countersign.dev/internal/control/durable"
)

// A Founding is what a new authority is to be. Keys are encrypted where its Config
// has a passphrase for them.
type Founding struct {
	directory.Config
	Lists           lists.Config
	Name            string // common names become "NAME Root", "NAME Issuing"
	Key             issuance.KeyType
	RootLifetime    time.Duration
	IssuingLifetime time.Duration
	IssuingToken    string // URI of the issuing authority's key in a token; "": in a file
	First           int    // the number in the issuing authority's name; 0: none
}

// Make makes the authority in a directory that does not exist or is empty.
func Make(f Founding) (*directory.Directory, error) {
	f.RootKey = ""
	if f.Now == nil {
		f.Now = time.Now
	}
	if _, err := issuance.ParseKeyType(string(cmp.Or(f.Key, issuance.ECDSAP256))); err != nil {
		return nil, err
	}
	created, err := vacantDir(f.Dir)
	if err != nil {
		return nil, err
	}
	// Whoever creates this file founds the authority; of two at once the other
	// must not tidy up after itself here.
	path := filepath.Join(f.Dir, directory.RootKeyFile)
	key, err := holder.Create(holder.Place{Path: path, Passphrase: f.RootPassphrase}, f.Key)
	if err != nil {
		return nil, err
	}
	d, err := f.write(key)
	if err != nil {
		// Nobody has seen any of it: half an authority is only in the way.
		return nil, errors.Join(err, f.clear(created))
	}
	return d, nil
}

// clear takes back what an unfinished Make has written.
func (f Founding) clear(created bool) (err error) {
	for _, name := range []string{directory.RootCertFile, directory.RootKeyFile, directory.IssuingCertFile, directory.IssuingKeyFile, directory.BundleFile,
		directory.CRLFile, directory.RootCRLFile, directory.LedgerFile, directory.LockFile, directory.ListsLockFile} {
		err = errors.Join(err, os.RemoveAll(filepath.Join(f.Dir, name)))
	}
	if created {
		err = errors.Join(err, os.Remove(f.Dir))
	}
	return err
}

// authorities makes both certificates, in memory.
func (f Founding) authorities(rootKey, issuingKey holder.Key) (root, issuing *directory.Signer, err error) {
	if root, err = f.authority(nil, rootKey, issuance.Root, f.Name+succession.RootSuffix, f.RootLifetime); err != nil {
		return nil, nil, fmt.Errorf("root: %w", err)
	}
	name := f.Name + " Issuing"
	if f.First > 0 {
		name = fmt.Sprintf("%s %d", name, f.First)
	}
	if issuing, err = f.authority(root, issuingKey, issuance.Issuing, name, f.IssuingLifetime); err != nil {
		return nil, nil, fmt.Errorf("issuing authority: %w", err)
	}
	return root, issuing, nil
}

// authority makes one of the two; a root, without a parent, signs itself.
func (f Founding) authority(parent *directory.Signer, key holder.Key, p issuance.Profile, name string, lifetime time.Duration) (_ *directory.Signer, err error) {
	if parent == nil {
		if parent, err = directory.NewSigner(f.Config, nil, key, 0); err != nil {
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
	return directory.NewSigner(f.Config, certificate, key, 0)
}

// write puts everything but the root's key into the directory, the ledger
// last: a directory without one is not an authority yet.
func (f Founding) write(rootKey holder.Key) (*directory.Directory, error) {
	path := func(file string) string { return filepath.Join(f.Dir, file) }
	issuingKey, err := holder.Create(holder.Place{Path: path(directory.IssuingKeyFile), Passphrase: f.Passphrase, Token: f.IssuingToken}, f.Key)
	if err != nil {
		return nil, err
	}
	defer issuingKey.Close() // it is opened anew from its file
	root, issuing, err := f.authorities(rootKey, issuingKey)
	if err != nil {
		return nil, err
	}
	for file, certificates := range map[string][]*x509.Certificate{
		directory.RootCertFile:    {root.Certificate},
		directory.IssuingCertFile: {issuing.Certificate},
		directory.BundleFile:      {root.Certificate, issuing.Certificate},
	} {
		if err := durable.CreateFile(path(file), pemfile.EncodeCertificates(certificates...), 0o644); err != nil {
			return nil, err
		}
	}
	if f.Ledger == nil {
		if _, err := ledger.CreateFile(path(directory.LedgerFile), path(directory.LockFile)); err != nil {
			return nil, err
		}
	}
	d, err := directory.Open(f.Config)
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		certificate *x509.Certificate
		profile     issuance.Profile
	}{{root.Certificate, issuance.Root}, {issuing.Certificate, issuance.Issuing}} {
		if err := d.Record(context.Background(), d.Root(), c.certificate, c.profile); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	if _, err := lists.New(d, f.Lists).Sign(0); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
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
		if e.Name() == directory.RootCertFile || e.Name() == directory.RootKeyFile {
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
