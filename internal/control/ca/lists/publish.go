package lists

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/wire/dn"
)

// RootLifetime is how long the root's list lasts: it says nothing for years,
// and root.key may be far away (CA/Browser Forum Baseline Requirements 7.2: at
// most twelve months).
const RootLifetime = 365 * 24 * time.Hour

// publish signs and writes the lists.
func (p *Publisher) publish(ctx context.Context, lifetime time.Duration) (err error) {
	unlock, err := durable.Lock(p.dir.Path(directory.ListsLockFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	last, err := p.dir.Ledger().List(ctx)
	if err != nil {
		return err
	}
	lifetime = cmp.Or(lifetime, p.cfg.Lifetime, last.NextUpdate.Sub(last.At), DefaultLifetime)
	published, err := p.Read()
	if err != nil {
		return err
	}
	issuers, err := p.dir.Latest()
	if err != nil {
		return err
	}
	number, err := p.adopt(ctx, published, issuers)
	if err != nil {
		return err
	}
	now := p.dir.Now().UTC().Truncate(time.Second)
	number, err = p.number(ctx, number, now, lifetime)
	if err != nil {
		return err
	}
	revoked, err := p.revoked(ctx, issuers)
	if err != nil {
		return err
	}
	list := crl.List{Number: number, Now: now, Lifetime: lifetime}
	var signed [][]byte
	for n, s := range slices.Backward(issuers) {
		if n < len(issuers)-1 && !now.Before(s.Certificate.NotAfter) {
			continue // it has had its time, and all that it issued with it
		}
		if s.Key == nil {
			return fmt.Errorf("the authority %q expired on %s and can sign no more lists: make another with `countersign ca rollover %s`",
				s.Certificate.Subject.CommonName, stamp(s.Certificate.NotAfter), p.dir.Dir())
		}
		list.Entries = revoked[s.ID()]
		der, err := list.Sign(s.Certificate, s.Key)
		if err != nil {
			return err
		}
		signed = append(signed, der)
	}
	defer p.forgetLists() // whatever the clock of the files says, they are others now
	data := crl.Encode(signed...)
	if err := durable.WriteFile(p.dir.Path(directory.CRLFile), data, 0o644); err != nil {
		return err
	}
	if p.dir.Root().Key != nil {
		list.Lifetime, list.Entries = max(lifetime, RootLifetime), revoked[p.dir.Root().ID()]
		der, err := list.Sign(p.dir.Root().Certificate, p.dir.Root().Key)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(p.dir.Path(directory.RootCRLFile), crl.Encode(der), 0o644); err != nil {
			return err
		}
	}
	if p.cfg.Copy == "" {
		return nil
	}
	return durable.WriteFile(p.cfg.Copy, data, 0o644)
}

// number spends the next list number, before it is used, so that it is never
// used twice. It is at least the time in milliseconds: whatever backup the
// ledger is from, the number does not go back (RFC 5280 section 5.2.3).
func (p *Publisher) number(ctx context.Context, published int64, now time.Time, lifetime time.Duration) (int64, error) {
	for {
		last, err := p.dir.Ledger().List(ctx)
		if err != nil {
			return 0, err
		}
		number := max(last.Number+1, published+1, p.dir.Now().UnixMilli())
		err = p.dir.Ledger().Append(ctx, ledger.Entry{Event: ledger.Listed, At: now, Number: number, NextUpdate: now.Add(lifetime)})
		if !ledger.Conflict(err) { // with another node that shares the ledger
			return number, err
		}
	}
}

// revoked divides what the ledger has as revoked among the lists, by the id of
// who signed the certificate.
func (p *Publisher) revoked(ctx context.Context, issuers []*directory.Signer) (map[string][]crl.Entry, error) {
	all, err := p.dir.Ledger().Revoked(ctx)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, s := range issuers {
		own[dn.Serial(s.Certificate.SerialNumber)] = true
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
			by = p.dir.Root().ID()
		case by == "": // from before there could be a second one
			by = issuers[0].ID()
		}
		lists[by] = append(lists[by], crl.Entry{Serial: serial, RevokedAt: c.RevokedAt, Reason: crl.Reason(c.Reason)})
	}
	return lists, nil
}

// adopt puts revocations into the ledger that a published list has but the
// ledger has not, as after an older copy of it was restored: what was once
// published as revoked stays revoked. It returns the highest number published.
func (p *Publisher) adopt(ctx context.Context, published Published, issuers []*directory.Signer) (number int64, err error) {
	by := slices.Clone(issuers)
	lists := append(slices.Clone(published.Issuers), published.Root)
	known := map[string]bool{}
	all, err := p.dir.Ledger().Revoked(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range all {
		known[c.Serial] = true
	}
	by = append(by, p.dir.Root())
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
			err := p.dir.Ledger().Append(ctx, ledger.Entry{
				Event: ledger.Revoked, At: entry.RevocationTime, Serial: serial, Issuer: by[n].ID(), Reason: string(crl.ReasonOf(entry.ReasonCode)),
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
