package ca

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/wire/dn"
)

// A Revocation is what Revoke did.
type Revocation struct {
	Certificate ledger.Certificate
	Already     bool // it had been revoked before: date and reason are those of then
	Lists       Lists
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
	e := ledger.Entry{Serial: dn.Serial(c.SerialNumber), Subject: subject, NotAfter: c.NotAfter.UTC()}
	switch {
	case c.CheckSignatureFrom(a.issuingCert) == nil:
		e.Profile = string(profileOf(c))
	case c.Equal(a.issuingCert):
		e.Profile = string(issuance.Issuing)
	case c.Equal(a.rootCert):
		e.Profile = string(issuance.Root)
	default:
		return Revocation{}, fmt.Errorf("%s (serial %s) was not issued by this authority (%s): only its own issuer can revoke it",
			subject, e.Serial, a.issuingCert.Subject.CommonName)
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
	now := a.now()
	if at.IsZero() {
		at = now
	}
	if at.After(now) {
		return Revocation{}, fmt.Errorf("the revocation date %s is in the future: expected now or earlier, for verifiers do not wait for it", stamp(at))
	}
	var done Revocation
	err = a.locked(func() (err error) {
		c, known := a.ledger.Find(e.Serial)
		if !known && e.Profile == "" {
			return fmt.Errorf("no certificate with serial %s was issued here: see `countersign ca show %s`, or name the certificate's file", e.Serial, a.dir)
		}
		if c.Profile == string(issuance.Root) || e.Profile == string(issuance.Root) {
			return fmt.Errorf("a root cannot be revoked by a list that it signs itself: take %s out of every trust store", a.Path(BundleFile))
		}
		if known {
			e = ledger.Entry{Serial: e.Serial} // the rest is on record
		}
		if done.Already = c.Revoked(); !done.Already {
			e.Event, e.At, e.Reason = ledger.Revoked, at, string(reason)
			if err := a.ledger.Append(e); err != nil {
				return err
			}
		}
		done.Certificate, _ = a.ledger.Find(e.Serial)
		done.Lists, err = a.publish(0)
		if err != nil {
			err = fmt.Errorf("serial %s is on record as revoked, but the list is not signed: %w; then run `countersign ca crl %s`", e.Serial, err, a.dir)
		}
		return err
	})
	return done, err
}

func profileOf(c *x509.Certificate) issuance.Profile {
	if len(c.ExtKeyUsage) == 1 && c.ExtKeyUsage[0] == x509.ExtKeyUsageServerAuth {
		return issuance.Server
	}
	return issuance.Client
}
