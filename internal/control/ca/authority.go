package ca

import (
	"context"
	"crypto/x509"
	"io"
	"iter"
	"time"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance/lint"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/lists"
)

// Config says where an authority lives, and how it works.
type Config struct {
	Dir            string
	Passphrase     []byte        // of the issuing authorities' keys, where those are encrypted
	RootKey        string        // path of the root's key; "": directory.RootKeyFile in Dir
	RootPassphrase []byte        // none: an encrypted root key is taken for one that is elsewhere
	Lifetime       time.Duration // of certificates for which nobody says how long; 0: DefaultLifetime
	CRLLifetime    time.Duration // 0: that of the last list, of the first lists.DefaultLifetime
	CRLCopy        string        // path of a copy of directory.CRLFile for others to read; "": none

	// Locations are put into the certificates of the issuing authority with that
	// number, from 1; nil: none are.
	Locations func(number int) lint.Locations
	Ledger    ledger.Ledger    // nil: directory.LedgerFile in Dir
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // of serial numbers; nil: crypto/rand. Keys always come from crypto/rand
}

func (c Config) directory() directory.Config {
	return directory.Config{Dir: c.Dir, Passphrase: c.Passphrase, RootKey: c.RootKey, RootPassphrase: c.RootPassphrase,
		Locations: c.Locations, Ledger: c.Ledger, Now: c.Now, Rand: c.Rand}
}

func (c Config) lists() lists.Config { return lists.Config{Lifetime: c.CRLLifetime, Copy: c.CRLCopy} }

// An Authority is an opened directory. It is safe for concurrent use, also by
// several processes at once.
type Authority struct {
	dir      *directory.Directory
	lists    *lists.Publisher
	lifetime time.Duration // of certificates for which nobody says how long
}

// Open opens the authority in a directory, unless that does not hold together
// (directory.Open). Close releases it.
func Open(c Config) (*Authority, error) {
	d, err := directory.Open(c.directory())
	if err != nil {
		return nil, err
	}
	return c.authority(d), nil
}

func (c Config) authority(d *directory.Directory) *Authority {
	return &Authority{dir: d, lists: lists.New(d, c.lists()), lifetime: c.Lifetime}
}

// Close gives up the keys.
func (a *Authority) Close() error { return a.dir.Close() }

// Dir returns the directory as it was given.
func (a *Authority) Dir() string { return a.dir.Dir() }

// Path returns the path of one of the authority's files.
func (a *Authority) Path(file string) string { return a.dir.Path(file) }

// Root returns the root's certificate.
func (a *Authority) Root() *x509.Certificate { return a.dir.Root().Certificate }

// HasRootKey tells whether the root's key is at hand.
func (a *Authority) HasRootKey() bool { return a.dir.HasRootKey() }

// Issuing returns the certificate of the issuing authority in use.
func (a *Authority) Issuing() *x509.Certificate { return a.dir.Issuing() }

// Issuers returns the certificates of all issuing authorities: the one with the
// number n is at n-1, the one in use is the last.
func (a *Authority) Issuers() []*x509.Certificate { return a.dir.Issuers() }

// Status returns what is on record of the certificate with that serial number,
// as dn.Serial prints it; nothing unless ok.
func (a *Authority) Status(ctx context.Context, serial string) (c ledger.Certificate, ok bool, err error) {
	return a.dir.Ledger().Find(ctx, serial)
}

// Certificates yields what is on record of every certificate, the authorities'
// own included, in the order of their issue.
func (a *Authority) Certificates(ctx context.Context) iter.Seq2[ledger.Certificate, error] {
	return a.dir.Ledger().Certificates(ctx)
}

// CRL signs all lists anew (lists.Publisher.Sign). Lifetime is the time until
// nextUpdate of the issuing authorities'; 0 is that of the configuration, or of the
// predecessor, of the first lists.DefaultLifetime.
func (a *Authority) CRL(lifetime time.Duration) (lists.Published, error) {
	return a.lists.Sign(lifetime)
}

// Lists reads the lists from the directory, unless they are as they were.
func (a *Authority) Lists() (lists.Published, error) { return a.lists.Read() }

// SignIfDue signs the lists anew if half of their time is over, or one is missing
// (lists.Publisher.SignIfDue).
func (a *Authority) SignIfDue(ctx context.Context) (lists.Published, error) {
	return a.lists.SignIfDue(ctx)
}
