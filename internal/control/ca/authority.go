package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"countersign.dev/internal/control/ca/durable"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/pemfile"
)

// The files of an authority's directory.
const (
	RootCertFile    = "root.crt"
	RootKeyFile     = "root.key"
	IssuingCertFile = "issuing.crt"
	IssuingKeyFile  = "issuing.key"
	BundleFile      = "ca.crt"       // root and issuing certificate: for trust stores
	CRLFile         = "crl.pem"      // the issuing authority's list
	RootCRLFile     = "root-crl.pem" // the root's, for those who check the whole chain
	IssuedDir       = "issued"
	LedgerFile      = "ledger.jsonl"
	lockFile        = ".lock"
)

// Config says where an authority lives.
type Config struct {
	Dir  string
	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // of serial numbers; nil: crypto/rand. Keys always come from crypto/rand
}

// An Authority is an opened directory. It is safe for concurrent use, also by
// several processes at once.
type Authority struct {
	dir string
	now func() time.Time

	rootCert, issuingCert *x509.Certificate
	root                  *signer // nil: root.key is kept elsewhere
	issuing               *signer

	mu     sync.Mutex
	ledger *ledger.Ledger
}

// Open reads the directory and refuses one that does not hold together: a file
// missing, a key that others may read, that is not its certificate's, an
// issuing certificate that the root did not sign; and a directory in which
// others may put files of theirs in the place of ours.
func Open(c Config) (*Authority, error) {
	a := &Authority{dir: c.Dir, now: c.Now}
	if a.now == nil {
		a.now = time.Now
	}
	var err error
	if a.rootCert, err = pemfile.ReadCertificate(a.Path(RootCertFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s holds no authority (%w): make one with `countersign ca init %s`", c.Dir, err, c.Dir)
		}
		return nil, err
	}
	if err := guarded(c.Dir); err != nil {
		return nil, err
	}
	if a.issuingCert, err = pemfile.ReadCertificate(a.Path(IssuingCertFile)); err != nil {
		return nil, err
	}
	if err := a.rootCert.CheckSignatureFrom(a.rootCert); err != nil {
		return nil, fmt.Errorf("%s is not a root, signed by itself: %w", a.Path(RootCertFile), err)
	}
	if err := a.issuingCert.CheckSignatureFrom(a.rootCert); err != nil {
		return nil, fmt.Errorf("%s was not signed by %s: %w", a.Path(IssuingCertFile), a.Path(RootCertFile), err)
	}
	if a.issuing, err = openSigner(c, a.issuingCert, IssuingKeyFile); err != nil {
		return nil, err
	}
	if a.root, err = openSigner(c, a.rootCert, RootKeyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return a, a.locked(func() (err error) {
		a.ledger, err = ledger.Open(a.Path(LedgerFile))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: it is the memory of what was revoked. Restore it from a backup; or, if `ca init` did not finish, remove %s and begin anew", err, a.dir)
		}
		return err
	})
}

// guarded refuses a directory in which somebody else can replace the ledger, or
// the certificate that trust stores are given.
func guarded(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others can write in %s (mode %04o): expected 0700. Close it with `chmod 700 %s`, and compare %s and %s with what you handed out",
			dir, mode, dir, BundleFile, CRLFile)
	}
	return nil
}

// Dir returns the directory as it was given.
func (a *Authority) Dir() string { return a.dir }

// Path returns the path of one of the authority's files.
func (a *Authority) Path(file string) string { return filepath.Join(a.dir, file) }

// Root returns the root's certificate.
func (a *Authority) Root() *x509.Certificate { return a.rootCert }

// Issuing returns the issuing authority's certificate.
func (a *Authority) Issuing() *x509.Certificate { return a.issuingCert }

// HasRootKey tells whether root.key is in the directory.
func (a *Authority) HasRootKey() bool { return a.root != nil }

// Certificates returns what the ledger knows of every certificate, the
// authorities' own included, in the order of their issue.
func (a *Authority) Certificates() (all []ledger.Certificate, err error) {
	err = a.locked(func() error {
		all = a.ledger.Certificates()
		return nil
	})
	return all, err
}

// locked runs f while nobody else, in this process or another, looks at or
// changes the directory, with the ledger read up to its end.
func (a *Authority) locked(f func() error) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	unlock, err := durable.Lock(a.Path(lockFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if a.ledger != nil {
		if err := a.ledger.Refresh(); err != nil {
			return err
		}
	}
	return f()
}
