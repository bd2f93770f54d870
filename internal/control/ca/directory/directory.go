package directory

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

	"countersign.dev/internal/control/ca/issuance/lint"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/pemfile"
)

// Config says where a directory is, and how it is opened.
type Config struct {
	Dir            string
	Passphrase     []byte // of the issuing authorities' keys, where those are encrypted
	RootKey        string // path of the root's key; "": RootKeyFile in Dir
	RootPassphrase []byte // none: an encrypted root key is taken for one that is elsewhere

	// Locations are put into the certificates of the issuing authority with that
	// number, from 1; nil: none are.
	Locations func(number int) lint.Locations
	Ledger    ledger.Ledger    // nil: LedgerFile in Dir
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // of serial numbers; nil: crypto/rand
}

// A Directory is one that is open. It is safe for concurrent use, also by several
// processes at once.
type Directory struct {
	cfg    Config
	ledger ledger.Ledger

	root    *Signer // without a key when that is kept elsewhere
	mu      sync.Mutex
	issuers []*Signer // of which the last is in use
}

// Open reads the directory and refuses one that does not hold together: a file
// missing, a key that others may read, that is not its certificate's, an
// issuing certificate that the root did not sign; and a directory in which
// others may put files of theirs in the place of ours. Close releases it.
func Open(c Config) (_ *Directory, err error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &Directory{cfg: c, ledger: c.Ledger}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	root, err := pemfile.ReadCertificate(d.Path(RootCertFile))
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
		return nil, fmt.Errorf("%s is not a root, signed by itself: %w", d.Path(RootCertFile), err)
	}
	d.root = &Signer{Certificate: root}
	if _, err := d.Latest(); err != nil {
		return nil, err
	}
	if err := d.openRoot(); err != nil {
		return nil, err
	}
	if d.ledger == nil {
		if d.ledger, err = ledger.OpenFile(d.Path(LedgerFile), d.Path(LockFile)); errors.Is(err, fs.ErrNotExist) {
			if _, moved := os.Stat(d.Path(MovedLedgerFile)); moved == nil {
				return d, fmt.Errorf("the ledger of %s is kept in the store of its gateway: name the gateway's configuration with --config", c.Dir)
			}
			err = fmt.Errorf("%w: it is the memory of what was revoked. Restore it from a backup; or, if `ca init` did not finish, remove %s and begin anew", err, c.Dir)
		}
	}
	return d, err
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
func (d *Directory) Dir() string { return d.cfg.Dir }

// Path returns the path of one of the authority's files.
func (d *Directory) Path(file string) string { return filepath.Join(d.cfg.Dir, file) }

// Now is the time by the clock of the directory.
func (d *Directory) Now() time.Time { return d.cfg.Now() }

// Ledger returns the memory of the authority.
func (d *Directory) Ledger() ledger.Ledger { return d.ledger }

// Root returns the root.
func (d *Directory) Root() *Signer { return d.root }

// Issuing returns the certificate of the issuing authority in use.
func (d *Directory) Issuing() *x509.Certificate {
	issuers := d.Issuers()
	return issuers[len(issuers)-1]
}

// Issuers returns the certificates of all issuing authorities: the one with the
// number n is at n-1, the one in use is the last.
func (d *Directory) Issuers() []*x509.Certificate {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*x509.Certificate
	for _, s := range d.issuers {
		all = append(all, s.Certificate)
	}
	return all
}

// HasRootKey tells whether the root's key is at hand.
func (d *Directory) HasRootKey() bool { return d.root.Key != nil }

// Close gives up the keys.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	for _, s := range append(slices.Clone(d.issuers), d.root) {
		if s != nil && s.Key != nil {
			err = errors.Join(err, s.Key.Close())
		}
	}
	return err
}
