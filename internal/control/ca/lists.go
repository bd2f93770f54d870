package ca

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/wire/dn"
)

// rootCRLLifetime is how long the root's list lasts: it says nothing for years,
// and root.key may be far away (CA/Browser Forum Baseline Requirements 7.2: at
// most twelve months).
const rootCRLLifetime = 365 * day

// Lists are the revocation lists as they stand in the directory.
type Lists struct {
	Issuing *x509.RevocationList // crl.pem
	Root    *x509.RevocationList // root-crl.pem
	Notes   []string             // what was not done, in words
}

// CRL signs both lists anew, with the next number. Lifetime is the time until
// nextUpdate of the issuing authority's; 0 is that of its predecessor, of the
// first DefaultCRLLifetime. Expired certificates stay listed: a listener may
// be set to ignore expiry.
func (a *Authority) CRL(lifetime time.Duration) (lists Lists, err error) {
	err = a.locked(func() (err error) {
		lists, err = a.publish(lifetime)
		return err
	})
	return lists, err
}

// Lists reads the lists from the directory.
func (a *Authority) Lists() (lists Lists, err error) {
	err = a.locked(func() (err error) {
		lists, err = a.readLists()
		return err
	})
	return lists, err
}

func (a *Authority) readLists() (lists Lists, err error) {
	if lists.Issuing, err = crl.Read(a.Path(CRLFile), a.issuingCert); err != nil {
		return lists, err
	}
	lists.Root, err = crl.Read(a.Path(RootCRLFile), a.rootCert)
	return lists, err
}

// publish signs and writes the lists. The caller holds the lock.
func (a *Authority) publish(lifetime time.Duration) (Lists, error) {
	last := a.ledger.List()
	if lifetime == 0 {
		lifetime = DefaultCRLLifetime
		if !last.At.IsZero() {
			lifetime = last.NextUpdate.Sub(last.At)
		}
	}
	if lifetime < time.Minute {
		return Lists{}, fmt.Errorf("the lifetime of the list is %s: expected at least a minute", lifetime)
	}
	published, err := a.readLists()
	if err != nil {
		return Lists{}, err
	}
	number := last.Number
	for _, list := range []*x509.RevocationList{published.Issuing, published.Root} {
		if list == nil {
			continue
		}
		number = max(number, list.Number.Int64())
		if err := a.adopt(list); err != nil {
			return Lists{}, err
		}
	}
	number++
	now := a.now().UTC().Truncate(time.Second)
	// The number is spent before it is used, so that it can never be used twice.
	if err := a.ledger.Append(ledger.Entry{Event: ledger.Listed, At: now, Number: number, NextUpdate: now.Add(lifetime)}); err != nil {
		return Lists{}, err
	}
	own, roots, err := a.revoked()
	if err != nil {
		return Lists{}, err
	}
	lists := Lists{Root: published.Root}
	list := crl.List{Number: number, Now: now, Lifetime: lifetime, Entries: own}
	if lists.Issuing, err = list.Write(a.Path(CRLFile), a.issuingCert, a.issuing.key); err != nil {
		return Lists{}, err
	}
	if a.root == nil {
		lists.Notes = append(lists.Notes, fmt.Sprintf("%s is not here, so %s was not signed anew", a.Path(RootKeyFile), a.Path(RootCRLFile)))
		return lists, nil
	}
	list.Lifetime, list.Entries = max(lifetime, rootCRLLifetime), roots
	lists.Root, err = list.Write(a.Path(RootCRLFile), a.rootCert, a.root.key)
	return lists, err
}

// revoked divides what the ledger has as revoked among the two lists.
func (a *Authority) revoked() (own, roots []crl.Entry, err error) {
	issuing := dn.Serial(a.issuingCert.SerialNumber)
	for _, c := range a.ledger.Certificates() {
		if !c.Revoked() {
			continue
		}
		serial, ok := new(big.Int).SetString(c.Serial, 16)
		if !ok {
			return nil, nil, fmt.Errorf("serial %q in the ledger is not hex", c.Serial)
		}
		e := crl.Entry{Serial: serial, RevokedAt: c.RevokedAt, Reason: crl.Reason(c.Reason)}
		if c.Serial == issuing {
			roots = append(roots, e)
		} else {
			own = append(own, e)
		}
	}
	return own, roots, nil
}

// adopt puts revocations into the ledger that a published list has but the
// ledger has not, as after an older copy of it was restored: what was once
// published as revoked stays revoked.
func (a *Authority) adopt(list *x509.RevocationList) error {
	for _, entry := range list.RevokedCertificateEntries {
		serial := dn.Serial(entry.SerialNumber)
		if c, _ := a.ledger.Find(serial); c.Revoked() {
			continue
		}
		e := ledger.Entry{Event: ledger.Revoked, At: entry.RevocationTime, Serial: serial, Reason: string(crl.ReasonOf(entry.ReasonCode))}
		if err := a.ledger.Append(e); err != nil {
			return err
		}
	}
	return nil
}

// stamp prints an instant the way messages do.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
