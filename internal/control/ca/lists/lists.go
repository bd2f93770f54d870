package lists

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/gather"
)

// DefaultLifetime is that of the first lists.
const DefaultLifetime = 24 * time.Hour

// Config says how lists are published.
type Config struct {
	Lifetime time.Duration // 0: that of the last list, of the first DefaultLifetime
	Copy     string        // path of a copy of directory.CRLFile for others to read; "": none
}

// A Publisher signs the lists of one directory, where it also reads them.
type Publisher struct {
	dir *directory.Directory
	cfg Config

	mu       sync.Mutex
	lists    Published // as last read, from
	listed   [2]fs.FileInfo
	signings gather.Work[time.Duration]
}

// New makes the Publisher of a directory, which stays the caller's to close.
func New(d *directory.Directory, c Config) *Publisher { return &Publisher{dir: d, cfg: c} }

// Published are the revocation lists as they stand in the directory.
type Published struct {
	Issuing *x509.RevocationList   // that of the issuing authority in use
	Root    *x509.RevocationList   // that of the root
	Issuers []*x509.RevocationList // those of all issuing authorities; nil for one that has none
	Notes   []string               // what was not done, in words
}

// Sign signs all lists anew, with the next number. Lifetime is the time until
// nextUpdate of the issuing authorities'; 0 is that of the configuration, or of
// the predecessor, of the first DefaultLifetime. Expired certificates stay
// listed: a listener may be set to ignore expiry. Callers that come at the same
// time get lists that were signed once.
func (p *Publisher) Sign(lifetime time.Duration) (lists Published, err error) {
	if lifetime != 0 && lifetime < time.Minute {
		return Published{}, fmt.Errorf("the lifetime of the list is %s: expected at least a minute", lifetime)
	}
	err = p.signings.Do(lifetime, func(lifetimes []time.Duration) []error {
		if err := p.publish(context.Background(), slices.Max(lifetimes)); err != nil {
			return slices.Repeat([]error{err}, len(lifetimes))
		}
		return nil
	})
	if err != nil {
		return Published{}, err
	}
	if lists, err = p.Read(); err == nil && p.dir.Root().Key == nil {
		lists.Notes = append(lists.Notes, fmt.Sprintf("the root's key is elsewhere, or encrypted, so %s was not signed anew", p.dir.Path(directory.RootCRLFile)))
	}
	return lists, err
}

// Read reads the lists from the directory, unless they are as they were.
func (p *Publisher) Read() (Published, error) {
	if _, err := p.dir.Latest(); err != nil {
		return Published{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	issuers := p.dir.Issuers()
	var infos [2]fs.FileInfo
	same := true
	for n, file := range []string{directory.CRLFile, directory.RootCRLFile} {
		info, err := os.Stat(p.dir.Path(file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Published{}, err
		}
		infos[n] = info
		old := p.listed[n]
		same = same && info != nil && old != nil && os.SameFile(old, info) && old.ModTime().Equal(info.ModTime()) && old.Size() == info.Size()
	}
	if same && len(p.lists.Issuers) == len(issuers) {
		return p.lists, nil
	}
	var lists Published
	var err error
	if lists.Issuers, err = crl.Read(p.dir.Path(directory.CRLFile), issuers...); err != nil {
		return Published{}, err
	}
	lists.Issuing = lists.Issuers[len(issuers)-1]
	roots, err := crl.Read(p.dir.Path(directory.RootCRLFile), p.dir.Root().Certificate)
	if err != nil {
		return Published{}, err
	}
	lists.Root = roots[0]
	p.lists, p.listed = lists, infos
	return lists, nil
}

// forgetLists has the next Read read them anew.
func (p *Publisher) forgetLists() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listed = [2]fs.FileInfo{}
}
