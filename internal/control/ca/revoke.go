package ca

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/wire/dn"
)

// A Revocation is what Revoke did.
type Revocation struct {
	Certificate ledger.Certificate
	Already     bool // it had been revoked before: date and reason are those of then
	Lists       lists.Published
}

// Revoke revokes the certificate with that serial number and signs new lists.
// A zero at means now. Revoking twice is no error: the lists are signed anew,
// in case the first time was interrupted before that.
func (a *Authority) Revoke(serial *big.Int, reason crl.Reason, at time.Time) (Revocation, error) {
	return a.revoke(ledger.Entry{Serial: dn.Serial(serial)}, reason, at)
}

// RevokeCertificate is Revoke for a certificate at hand; it need not be in the
// ledger, as long as this authority signed it.
func (a *Authority) RevokeCertificate(c *x509.Certificate, reason crl.Reason, at time.Time) (Revocation, error) {
	subject, err := dn.String(c.RawSubject)
	if err != nil {
		return Revocation{}, err
	}
	e := ledger.Entry{Serial: dn.Serial(c.SerialNumber), Subject: subject, NotAfter: c.NotAfter}
	issuers, err := a.dir.Latest()
	if err != nil {
		return Revocation{}, err
	}
	by := slices.IndexFunc(issuers, func(s *directory.Signer) bool { return c.CheckSignatureFrom(s.Certificate) == nil })
	switch {
	case by >= 0:
		e.Profile, e.Issuer = string(profileOf(c)), issuers[by].ID()
	case c.Equal(a.Root()):
		e.Profile = string(issuance.Root)
	case c.CheckSignatureFrom(a.Root()) == nil:
		e.Profile, e.Issuer = string(issuance.Issuing), a.dir.Root().ID()
	default:
		return Revocation{}, fmt.Errorf("%s (serial %s) was not issued by this authority (%s): only its own issuer can revoke it",
			subject, e.Serial, issuers[len(issuers)-1].Certificate.Subject.CommonName)
	}
	return a.revoke(e, reason, at)
}

func (a *Authority) revoke(e ledger.Entry, reason crl.Reason, at time.Time) (Revocation, error) {
	if reason == "" {
		reason = crl.Unspecified
	}
	reason, err := crl.ParseReason(string(reason))
	if err != nil {
		return Revocation{}, err
	}
	now := a.dir.Now()
	if at.IsZero() {
		at = now
	}
	if at.After(now) {
		return Revocation{}, fmt.Errorf("the revocation date %s is in the future: expected now or earlier, for verifiers do not wait for it", stamp(at))
	}
	ctx := context.Background() // who has said that a key is lost does not take it back
	c, known, err := a.dir.Ledger().Find(ctx, e.Serial)
	switch {
	case err != nil:
		return Revocation{}, err
	case !known && e.Profile == "":
		return Revocation{}, fmt.Errorf("no certificate with serial %s was issued here: see `countersign ca show %s`, or name the certificate's file", e.Serial, a.Dir())
	case c.Profile == string(issuance.Root) || e.Profile == string(issuance.Root):
		return Revocation{}, fmt.Errorf("a root cannot be revoked by a list that it signs itself: take %s out of every trust store", a.Path(directory.BundleFile))
	case known:
		e = ledger.Entry{Serial: e.Serial} // the rest is on record
	}
	done := Revocation{Already: c.Revoked()}
	if !done.Already {
		e.Event, e.At, e.Reason = ledger.Revoked, at, string(reason)
		// Somebody may have been faster; that is as good.
		if err := a.dir.Ledger().Append(ctx, e); ledger.Conflict(err) {
			done.Already = true
		} else if err != nil {
			return Revocation{}, err
		}
	}
	if done.Certificate, _, err = a.dir.Ledger().Find(ctx, e.Serial); err != nil {
		return Revocation{}, err
	}
	if done.Lists, err = a.CRL(0); err != nil {
		err = fmt.Errorf("serial %s is on record as revoked, but the list is not signed: %w; then run `countersign ca crl %s`", e.Serial, err, a.Dir())
	}
	return done, err
}

func profileOf(c *x509.Certificate) issuance.Profile {
	if len(c.ExtKeyUsage) == 1 && c.ExtKeyUsage[0] == x509.ExtKeyUsageServerAuth {
		return issuance.Server
	}
	return issuance.Client
}
