package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"countersign.dev/internal/control/ca/gather"
	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance/lint"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/pemfile"
)

// The files of an authority's directory. Those of later issuing authorities are
// called issuing-2.crt, issuing-2.key, and so on.
const (
	RootCertFile    = "root.crt"
	RootKeyFile     = "root.key"
	IssuingCertFile = "issuing.crt"
	IssuingKeyFile  = "issuing.key"
	BundleFile      = "ca.crt"       // root and issuing certificates: for trust stores
	CRLFile         = "crl.pem"      // the issuing authorities' lists, that of the one in use first
	RootCRLFile     = "root-crl.pem" // the root's, for those who check the whole chain
	LedgerFile      = "ledger.jsonl"
	lockFile        = ".lock"       // held while the ledger is written
	listsLockFile   = ".lists.lock" // held while lists are signed, or an issuing authority is made
)

// Config says where an authority lives, and how it works.
type Config struct {
	Dir            string
	Passphrase     []byte        // of the issuing authorities' keys, where those are encrypted
	RootKey        string        // path of the root's key; "": RootKeyFile in Dir
	RootPassphrase []byte        // none: an encrypted root key is taken for one that is elsewhere
	Lifetime       time.Duration // of certificates for which nobody says how long; 0: DefaultLifetime
	CRLLifetime    time.Duration // 0: that of the last list, of the first DefaultCRLLifetime
	CRLCopy        string        // path of a copy of CRLFile for others to read; "": none

	// Locations are put into the certificates of the issuing authority with that
	// number, from 1; nil: none are.
	Locations func(number int) lint.Locations
	Ledger    ledger.Ledger    // nil: LedgerFile in Dir
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // of serial numbers; nil: crypto/rand. Keys always come from crypto/rand
}

// An Authority is an opened directory. It is safe for concurrent use, also by
// several processes at once.
type Authority struct {
	cfg    Config
	ledger ledger.Ledger

	root     *signer // without a key when that is kept elsewhere
	mu       sync.Mutex
	issuers  []*signer // of which the last is in use
	lists    Lists     // as last read, from
	listed   [2]fs.FileInfo
	signings gather.Work[time.Duration]
}

// Open reads the directory and refuses one that does not hold together: a file
// missing, a key that others may read, that is not its certificate's, an
// issuing certificate that the root did not sign; and a directory in which
// others may put files of theirs in the place of ours. Close releases it.
func Open(c Config) (_ *Authority, err error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Authority{cfg: c, ledger: c.Ledger}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	root, err := pemfile.ReadCertificate(a.Path(RootCertFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s holds no authority (%w): make one with `countersign ca init %s`", c.Dir, err, c.Dir)
		}
		return nil, err
	}
	if err := guarded(c.Dir); err != nil {
		return nil, err
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("%s is not a root, signed by itself: %w", a.Path(RootCertFile), err)
	}
	a.root = &signer{certificate: root}
	if _, err := a.latest(); err != nil {
		return nil, err
	}
	if err := a.openRoot(); err != nil {
		return nil, err
	}
	if a.ledger == nil {
		if a.ledger, err = ledger.OpenFile(a.Path(LedgerFile), a.Path(lockFile)); errors.Is(err, fs.ErrNotExist) {
			if _, moved := os.Stat(a.Path(MovedLedgerFile)); moved == nil {
				return a, fmt.Errorf("the ledger of %s is kept in the store of its gateway: name the gateway's configuration with --config", c.Dir)
			}
			err = fmt.Errorf("%w: it is the memory of what was revoked. Restore it from a backup; or, if `ca init` did not finish, remove %s and begin anew", err, c.Dir)
		}
	}
	return a, err
}

// openRoot opens the root's key, if it is here.
func (a *Authority) openRoot() error {
	path := a.cfg.RootKey
	if path == "" {
		path = a.Path(RootKeyFile)
	}
	key, err := holder.Open(path, a.cfg.RootPassphrase)
	if a.cfg.RootKey == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, holder.ErrLocked)) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := newSigner(a.cfg, a.root.certificate, key, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, errors.Join(err, key.Close()))
	}
	a.root = s
	return nil
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

// issuingFile is the name of a file of the issuing authority with that number.
func issuingFile(name string, number int) string {
	if number == 1 {
		return name
	}
	extension := filepath.Ext(name)
	return fmt.Sprintf("%s-%d%s", name[:len(name)-len(extension)], number, extension)
}

// latest returns the issuing authorities, in the order in which they were made,
// those that another process has made included.
func (a *Authority) latest() ([]*signer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		number := len(a.issuers) + 1
		path := a.Path(issuingFile(IssuingCertFile, number))
		certificate, err := pemfile.ReadCertificate(path)
		if number > 1 && errors.Is(err, fs.ErrNotExist) {
			return slices.Clone(a.issuers), nil
		}
		if err != nil {
			return nil, err
		}
		if err := certificate.CheckSignatureFrom(a.root.certificate); err != nil {
			return nil, fmt.Errorf("%s was not signed by %s: %w", path, a.Path(RootCertFile), err)
		}
		s, err := a.openIssuing(certificate, number)
		if err != nil {
			return nil, err
		}
		a.issuers = append(a.issuers, s)
	}
}

// openIssuing opens an issuing authority. Once it has expired its key is good
// for nothing, and may have been destroyed.
func (a *Authority) openIssuing(certificate *x509.Certificate, number int) (*signer, error) {
	path := a.Path(issuingFile(IssuingKeyFile, number))
	key, err := holder.Open(path, a.cfg.Passphrase)
	if errors.Is(err, fs.ErrNotExist) && a.cfg.Now().After(certificate.NotAfter) {
		return &signer{certificate: certificate, number: number}, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := newSigner(a.cfg, certificate, key, number)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, key.Close()))
	}
	return s, nil
}

// Dir returns the directory as it was given.
func (a *Authority) Dir() string { return a.cfg.Dir }

// Path returns the path of one of the authority's files.
func (a *Authority) Path(file string) string { return filepath.Join(a.cfg.Dir, file) }

// Root returns the root's certificate.
func (a *Authority) Root() *x509.Certificate { return a.root.certificate }

// Issuing returns the certificate of the issuing authority in use.
func (a *Authority) Issuing() *x509.Certificate {
	issuers := a.Issuers()
	return issuers[len(issuers)-1]
}

// Issuers returns the certificates of all issuing authorities: the one with the
// number n is at n-1, the one in use is the last.
func (a *Authority) Issuers() []*x509.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*x509.Certificate
	for _, s := range a.issuers {
		all = append(all, s.certificate)
	}
	return all
}

// HasRootKey tells whether the root's key is at hand.
func (a *Authority) HasRootKey() bool { return a.root.key != nil }

// Close gives up the keys.
func (a *Authority) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var err error
	for _, s := range append(slices.Clone(a.issuers), a.root) {
		if s != nil && s.key != nil {
			err = errors.Join(err, s.key.Close())
		}
	}
	return err
}
