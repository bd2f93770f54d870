package ca

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/wire/dn"
)

// A Request is a certificate whose key is made here too.
type Request struct {
	Profile    issuance.Profile // "": device
	CommonName string           // the subject, when it is a common name alone
	Subject    string           // otherwise: RFC 4514, "CN=gate 7,O=Example"
	Names      []string         // alternative names: "dns:HOST", "ip:ADDRESS", "uri:URI", "email:ADDRESS"
	Lifetime   time.Duration    // 0: the authority's; never beyond the issuing authority's end
	Key        issuance.KeyType // "": ecdsa-p256
}

// A SignRequest says how a certificate signing request is to be answered.
type SignRequest struct {
	Profile  issuance.Profile // "": device
	Lifetime time.Duration    // 0: the authority's; never beyond the issuing authority's end
}

// Issued is a certificate on record, ready to be handed out.
type Issued struct {
	Certificate *x509.Certificate
	Issuer      *x509.Certificate // the issuing authority's: to be presented after it
	Key         crypto.Signer     // nil when a request was signed: its maker has the key
	Notes       []string          // what differs from what was asked for, in words
}

// Issue makes a key, and a certificate for it.
func (a *Authority) Issue(r Request) (Issued, error) {
	subject, err := r.subject()
	if err != nil {
		return Issued{}, err
	}
	names, err := request.ParseNames(r.Names)
	if err != nil {
		return Issued{}, err
	}
	key, err := r.Key.Generate()
	if err != nil {
		return Issued{}, err
	}
	issued, err := a.Certify(context.Background(), issuance.Request{
		Profile: r.Profile, Subject: subject, Names: names, PublicKey: key.Public(), Lifetime: r.Lifetime,
	})
	if err != nil {
		return Issued{}, err
	}
	issued.Key = key
	return issued, nil
}

func (r Request) subject() ([]byte, error) {
	switch {
	case r.CommonName != "" && r.Subject != "":
		return nil, fmt.Errorf("both a common name (%q) and a whole subject (%q) are given: expected one of them", r.CommonName, r.Subject)
	case r.Subject != "":
		return request.ParseSubject(r.Subject)
	case r.CommonName != "":
		return request.CommonName(r.CommonName)
	}
	return nil, nil
}

// Sign answers a certificate signing request, PEM or DER. What request.ReadCSR
// refuses is refused.
func (a *Authority) Sign(csr []byte, r SignRequest) (Issued, error) {
	if r.Profile == "" {
		r.Profile = issuance.Device
	}
	c, err := request.ReadCSR(csr, r.Profile)
	if err != nil {
		return Issued{}, err
	}
	issued, err := a.Certify(context.Background(), issuance.Request{
		Profile: r.Profile, Subject: c.Subject, Names: c.Names, PublicKey: c.PublicKey, Lifetime: r.Lifetime,
	})
	if err != nil {
		return Issued{}, err
	}
	issued.Notes = append(issued.Notes, c.Notes...)
	return issued, nil
}

// Certify answers a request whose subject, names and key the caller has decided
// on; request.ReadCSR reads them from a signing request. It is for many callers
// at once, who share the syncs of the ledger. A Lifetime of 0 is the
// authority's. When it fails, whether ctx ended or not, there is no certificate.
func (a *Authority) Certify(ctx context.Context, r issuance.Request) (Issued, error) {
	if r.Profile == "" {
		r.Profile = issuance.Device
	}
	if r.Profile.IsCA() || r.Profile == issuance.OCSP {
		return Issued{}, fmt.Errorf("the profile %s is not for end entities", r.Profile)
	}
	issuers, err := a.dir.Latest()
	if err != nil {
		return Issued{}, err
	}
	return a.certify(ctx, issuers[len(issuers)-1], r)
}

// certify checks, signs and records; only then is there something to return.
func (a *Authority) certify(ctx context.Context, by *directory.Signer, r issuance.Request) (Issued, error) {
	if r.Lifetime == 0 {
		r.Lifetime = cmp.Or(a.lifetime, DefaultLifetime)
	}
	issued := Issued{Issuer: by.Certificate}
	own, _, err := a.dir.Ledger().Find(ctx, dn.Serial(by.Certificate.SerialNumber))
	switch {
	case err != nil:
		return Issued{}, err
	case own.Revoked():
		return Issued{}, fmt.Errorf("the issuing authority was revoked on %s (%s): make another with `countersign ca rollover %s`", stamp(own.RevokedAt), own.Reason, a.Dir())
	case by.Issuer == nil:
		return Issued{}, fmt.Errorf("the authority %q expired on %s: make another with `countersign ca rollover %s`", by.Certificate.Subject.CommonName, stamp(by.Certificate.NotAfter), a.Dir())
	}
	checked, err := by.Prepare(r)
	if err != nil {
		return Issued{}, err
	}
	if checked.Shortened {
		issued.Notes = append(issued.Notes, fmt.Sprintf("lifetime shortened: the issuing authority itself ends on %s", stamp(by.Certificate.NotAfter)))
	}
	if issued.Certificate, err = by.Issue(checked); err != nil {
		return Issued{}, err
	}
	if err := a.dir.Record(ctx, by, issued.Certificate, r.Profile); err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// delegateLifetime is how long a responder answers with one certificate, which
// nobody can revoke.
const delegateLifetime = 7 * day

// Delegate lets the holder of a key answer in the place of an issuing authority
// (RFC 6960 section 4.2.2.2) for a week.
func (a *Authority) Delegate(ctx context.Context, issuer *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	issuers, err := a.dir.Latest()
	if err != nil {
		return nil, err
	}
	for _, s := range issuers {
		if !s.Certificate.Equal(issuer) {
			continue
		}
		subject, err := request.CommonName(fmt.Sprintf("OCSP responder %d", s.Number))
		if err != nil {
			return nil, err
		}
		issued, err := a.certify(ctx, s, issuance.Request{Profile: issuance.OCSP, Subject: subject, PublicKey: public, Lifetime: delegateLifetime})
		return issued.Certificate, err
	}
	return nil, fmt.Errorf("%q is no issuing authority of %s", issuer.Subject.CommonName, a.Dir())
}

// stamp prints an instant the way messages do.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
