package crl

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"

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

// Sign returns the list, signed by the issuer's key, in DER.
func (l List) Sign(issuer *x509.Certificate, key crypto.Signer) ([]byte, error) {
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
	template.RevokedCertificateEntries = make([]x509.RevocationListEntry, 0, len(l.Entries))
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
		return nil, fmt.Errorf("sign the revocation list of %q: %w", issuer.Subject.CommonName, err)
	}
	return der, nil
}

// Encode returns the lists as PEM, one after the other.
func Encode(lists ...[]byte) []byte {
	var data []byte
	for _, der := range lists {
		data = append(data, pemfile.Encode(pemfile.CRL, der)...)
	}
	return data
}

// Read reads the lists at path. They are in the order of the issuers, nil for
// one that has none there; what none of them signed is an error.
func Read(path string, issuers ...*x509.Certificate) ([]*x509.RevocationList, error) {
	lists := make([]*x509.RevocationList, len(issuers))
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return lists, nil
	}
	if err == nil {
		err = sort(lists, data, issuers)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; remove it to have it made anew from the ledger", path, err)
	}
	return lists, nil
}

// sort puts each list in data where its issuer is.
func sort(lists []*x509.RevocationList, data []byte, issuers []*x509.Certificate) error {
	found := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemfile.CRL {
			return fmt.Errorf("it holds %q: expected %q", block.Type, pemfile.CRL)
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return err
		}
		if list.Number == nil || !list.Number.IsInt64() {
			return errors.New("its number is missing, or none of ours")
		}
		found++
		err = errors.New("it is the list of another authority")
		for n, issuer := range issuers {
			if err = list.CheckSignatureFrom(issuer); err == nil {
				lists[n] = list
				break
			}
		}
		if err != nil {
			return err
		}
	}
	if found == 0 {
		return fmt.Errorf("it has no PEM block in it: expected %q", pemfile.CRL)
	}
	return nil
}
