package ca

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"slices"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/wire/dn"
)

// rootCRLLifetime is how long the root's list lasts: it says nothing for years,
// and root.key may be far away (CA/Browser Forum Baseline Requirements 7.2: at
// most twelve months).
const rootCRLLifetime = 365 * day

// Lists are the revocation lists as they stand in the directory.
type Lists struct {
	Issuing *x509.RevocationList   // that of the issuing authority in use
	Root    *x509.RevocationList   // that of the root
	Issuers []*x509.RevocationList // those of all issuing authorities; nil for one that has none
	Notes   []string               // what was not done, in words
}

// CRL signs all lists anew, with the next number. Lifetime is the time until
// nextUpdate of the issuing authorities'; 0 is that of the configuration, or of
// the predecessor, of the first DefaultCRLLifetime. Expired certificates stay
// listed: a listener may be set to ignore expiry. Callers that come at the same
// time get lists that were signed once.
func (a *Authority) CRL(lifetime time.Duration) (lists Lists, err error) {
	if lifetime != 0 && lifetime < time.Minute {
		return Lists{}, fmt.Errorf("the lifetime of the list is %s: expected at least a minute", lifetime)
	}
	err = a.signings.Do(lifetime, func(lifetimes []time.Duration) []error {
		if err := a.publish(context.Background(), slices.Max(lifetimes)); err != nil {
			return slices.Repeat([]error{err}, len(lifetimes))
		}
		return nil
	})
	if err != nil {
		return Lists{}, err
	}
	if lists, err = a.Lists(); err == nil && a.root.key == nil {
		lists.Notes = append(lists.Notes, fmt.Sprintf("the root's key is elsewhere, or encrypted, so %s was not signed anew", a.Path(RootCRLFile)))
	}
	return lists, err
}

// Lists reads the lists from the directory, unless they are as they were.
func (a *Authority) Lists() (Lists, error) {
	if _, err := a.latest(); err != nil {
		return Lists{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var infos [2]fs.FileInfo
	same := true
	for n, file := range []string{CRLFile, RootCRLFile} {
		info, err := os.Stat(a.Path(file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Lists{}, err
		}
		infos[n] = info
		old := a.listed[n]
		same = same && info != nil && old != nil && os.SameFile(old, info) && old.ModTime().Equal(info.ModTime()) && old.Size() == info.Size()
	}
	if same && len(a.lists.Issuers) == len(a.issuers) {
		return a.lists, nil
	}
	var lists Lists
	issuers := make([]*x509.Certificate, len(a.issuers))
	for n, s := range a.issuers {
		issuers[n] = s.certificate
	}
	var err error
	if lists.Issuers, err = crl.Read(a.Path(CRLFile), issuers...); err != nil {
		return Lists{}, err
	}
	lists.Issuing = lists.Issuers[len(issuers)-1]
	roots, err := crl.Read(a.Path(RootCRLFile), a.root.certificate)
	if err != nil {
		return Lists{}, err
	}
	lists.Root = roots[0]
	a.lists, a.listed = lists, infos
	return lists, nil
}

// forgetLists has the next Lists read them anew.
func (a *Authority) forgetLists() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listed = [2]fs.FileInfo{}
}

// publish signs and writes the lists.
func (a *Authority) publish(ctx context.Context, lifetime time.Duration) (err error) {
	unlock, err := durable.Lock(a.Path(listsLockFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	last, err := a.ledger.List(ctx)
	if err != nil {
		return err
	}
	lifetime = cmp.Or(lifetime, a.cfg.CRLLifetime, last.NextUpdate.Sub(last.At), DefaultCRLLifetime)
	published, err := a.Lists()
	if err != nil {
		return err
	}
	issuers, err := a.latest()
	if err != nil {
		return err
	}
	number, err := a.adopt(ctx, published, issuers)
	if err != nil {
		return err
	}
	now := a.cfg.Now().UTC().Truncate(time.Second)
	number, err = a.number(ctx, number, now, lifetime)
	if err != nil {
		return err
	}
	revoked, err := a.revoked(ctx, issuers)
	if err != nil {
		return err
	}
	list := crl.List{Number: number, Now: now, Lifetime: lifetime}
	var signed [][]byte
	for n, s := range slices.Backward(issuers) {
		if n < len(issuers)-1 && !now.Before(s.certificate.NotAfter) {
			continue // it has had its time, and all that it issued with it
		}
		if s.key == nil {
			return fmt.Errorf("the authority %q expired on %s and can sign no more lists: make another with `countersign ca rollover %s`",
				s.certificate.Subject.CommonName, stamp(s.certificate.NotAfter), a.Dir())
		}
		list.Entries = revoked[s.id()]
		der, err := list.Sign(s.certificate, s.key)
		if err != nil {
			return err
		}
		signed = append(signed, der)
	}
	defer a.forgetLists() // whatever the clock of the files says, they are others now
	data := crl.Encode(signed...)
	if err := durable.WriteFile(a.Path(CRLFile), data, 0o644); err != nil {
		return err
	}
	if a.root.key != nil {
		list.Lifetime, list.Entries = max(lifetime, rootCRLLifetime), revoked[a.root.id()]
		der, err := list.Sign(a.root.certificate, a.root.key)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(a.Path(RootCRLFile), crl.Encode(der), 0o644); err != nil {
			return err
		}
	}
	if a.cfg.CRLCopy == "" {
		return nil
	}
	return durable.WriteFile(a.cfg.CRLCopy, data, 0o644)
}

// number spends the next list number, before it is used, so that it is never
// used twice. It is at least the time in milliseconds: whatever backup the
// ledger is from, the number does not go back (RFC 5280 section 5.2.3).
func (a *Authority) number(ctx context.Context, published int64, now time.Time, lifetime time.Duration) (int64, error) {
	for {
		last, err := a.ledger.List(ctx)
		if err != nil {
			return 0, err
		}
		number := max(last.Number+1, published+1, a.cfg.Now().UnixMilli())
		err = a.ledger.Append(ctx, ledger.Entry{Event: ledger.Listed, At: now, Number: number, NextUpdate: now.Add(lifetime)})
		if !ledger.Conflict(err) { // with another node that shares the ledger
			return number, err
		}
	}
}

// revoked divides what the ledger has as revoked among the lists, by the id of
// who signed the certificate.
func (a *Authority) revoked(ctx context.Context, issuers []*signer) (map[string][]crl.Entry, error) {
	all, err := a.ledger.Revoked(ctx)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, s := range issuers {
		own[dn.Serial(s.certificate.SerialNumber)] = true
	}
	lists := map[string][]crl.Entry{}
	for _, c := range all {
		serial, ok := new(big.Int).SetString(c.Serial, 16)
		if !ok {
			return nil, fmt.Errorf("serial %q in the ledger is not hex", c.Serial)
		}
		by := c.Issuer
		switch {
		case own[c.Serial]:
			by = a.root.id()
		case by == "": // from before there could be a second one
			by = issuers[0].id()
		}
		lists[by] = append(lists[by], crl.Entry{Serial: serial, RevokedAt: c.RevokedAt, Reason: crl.Reason(c.Reason)})
	}
	return lists, nil
}

// adopt puts revocations into the ledger that a published list has but the
// ledger has not, as after an older copy of it was restored: what was once
// published as revoked stays revoked. It returns the highest number published.
func (a *Authority) adopt(ctx context.Context, published Lists, issuers []*signer) (number int64, err error) {
	by := slices.Clone(issuers)
	lists := append(slices.Clone(published.Issuers), published.Root)
	known := map[string]bool{}
	all, err := a.ledger.Revoked(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range all {
		known[c.Serial] = true
	}
	by = append(by, a.root)
	for n, list := range lists {
		if list == nil {
			continue
		}
		number = max(number, list.Number.Int64())
		for _, entry := range list.RevokedCertificateEntries {
			serial := dn.Serial(entry.SerialNumber)
			if known[serial] {
				continue
			}
			err := a.ledger.Append(ctx, ledger.Entry{
				Event: ledger.Revoked, At: entry.RevocationTime, Serial: serial, Issuer: by[n].id(), Reason: string(crl.ReasonOf(entry.ReasonCode)),
			})
			if err != nil && !ledger.Conflict(err) {
				return 0, err
			}
		}
	}
	return number, nil
}

// stamp prints an instant the way messages do.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
