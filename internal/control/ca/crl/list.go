package crl

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"time"

	"countersign.dev/internal/control/ca/durable"
	"countersign.dev/internal/control/ca/pemfile"
)

// An Entry is a revoked certificate.
type Entry struct {
	Serial    *big.Int
	RevokedAt time.Time
	Reason    Reason
}

// backdate is how far thisUpdate lies before now: a verifier whose clock is
// behind would take the list for one of the future, and refuse everybody.
const backdate = 5 * time.Minute

// A List is what is to be signed. Lifetime is the time from Now to nextUpdate,
// shortened to the end of the issuer.
type List struct {
	Number   int64
	Now      time.Time
	Lifetime time.Duration
	Entries  []Entry
}

// Write signs the list and puts it at path, replacing its predecessor in one step.
func (l List) Write(path string, issuer *x509.Certificate, key crypto.Signer) (*x509.RevocationList, error) {
	template := x509.RevocationList{
		Number:     big.NewInt(l.Number),
		ThisUpdate: l.Now.Add(-backdate),
		NextUpdate: l.Now.Add(l.Lifetime),
	}
	if !l.Now.Before(issuer.NotAfter) {
		return nil, fmt.Errorf("the authority %q expired on %s UTC and can sign no more lists: make a new one",
			issuer.Subject.CommonName, issuer.NotAfter.UTC().Format(time.DateTime))
	}
	if template.NextUpdate.After(issuer.NotAfter) {
		template.NextUpdate = issuer.NotAfter
	}
	for _, e := range l.Entries {
		code, ok := e.Reason.code()
		if !ok {
			return nil, fmt.Errorf("serial %X: the reason %q is unknown", e.Serial, e.Reason)
		}
		// Code 0, unspecified, is left out of the encoding, as section 5.3.1 wishes.
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: e.Serial, RevocationTime: e.RevokedAt, ReasonCode: code})
	}
	der, err := x509.CreateRevocationList(rand.Reader, &template, issuer, key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", path, err)
	}
	if err := durable.WriteFile(path, pemfile.Encode(pemfile.CRL, der), 0o644); err != nil {
		return nil, err
	}
	return x509.ParseRevocationList(der)
}

// Read reads the list of that issuer at path; nil when there is none.
func Read(path string, issuer *x509.Certificate) (*x509.RevocationList, error) {
	der, err := pemfile.Read(path, pemfile.CRL)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list *x509.RevocationList
	if err == nil {
		list, err = x509.ParseRevocationList(der)
	}
	if err == nil {
		err = list.CheckSignatureFrom(issuer)
	}
	if err == nil && (list.Number == nil || !list.Number.IsInt64()) {
		err = errors.New("its number is missing, or none of ours")
	}
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; remove it to have it made anew from the ledger", path, err)
	}
	return list, nil
}
