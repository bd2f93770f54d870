package ca

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"time"

	"countersign.dev/internal/control/ca/durable"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/wire/dn"
)

// A Request is a certificate whose key is made here too.
type Request struct {
	Profile    issuance.Profile // "": device
	CommonName string           // the subject, when it is a common name alone
	Subject    string           // otherwise: RFC 4514, "CN=gate 7,O=Example"
	Names      []string         // alternative names: "dns:HOST", "ip:ADDRESS", "uri:URI", "email:ADDRESS"
	Lifetime   time.Duration    // 0: DefaultLifetime; never beyond the issuing authority's end
	Key        issuance.KeyType // "": ecdsa-p256
}

// A SignRequest says how a certificate signing request is to be answered.
type SignRequest struct {
	Profile  issuance.Profile // "": device
	Lifetime time.Duration    // 0: DefaultLifetime; never beyond the issuing authority's end
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
	issued, err := a.certify(issuance.Request{
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
	issued, err := a.certify(issuance.Request{
		Profile: r.Profile, Subject: c.Subject, Names: c.Names, PublicKey: c.PublicKey, Lifetime: r.Lifetime,
	})
	if err != nil {
		return Issued{}, err
	}
	issued.Notes = append(issued.Notes, c.Notes...)
	return issued, nil
}

// certify checks, signs and records; only then is there something to return.
func (a *Authority) certify(r issuance.Request) (Issued, error) {
	if r.Profile == "" {
		r.Profile = issuance.Device
	}
	if r.Profile.IsCA() {
		return Issued{}, fmt.Errorf("the profile %s is not for end entities", r.Profile)
	}
	if r.Lifetime == 0 {
		r.Lifetime = DefaultLifetime
	}
	issued := Issued{Issuer: a.issuingCert}
	err := a.locked(func() error {
		if own, _ := a.ledger.Find(dn.Serial(a.issuingCert.SerialNumber)); own.Revoked() {
			return fmt.Errorf("the issuing authority was revoked on %s (%s): make a new one with `countersign ca init`", stamp(own.RevokedAt), own.Reason)
		}
		checked, err := a.issuing.Prepare(r)
		if err != nil {
			return err
		}
		if checked.Shortened {
			issued.Notes = append(issued.Notes, fmt.Sprintf("lifetime shortened: the issuing authority itself ends on %s", stamp(a.issuingCert.NotAfter)))
		}
		if issued.Certificate, err = a.issuing.Issue(checked); err != nil {
			return err
		}
		return a.record(issued.Certificate, r.Profile)
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// record puts a certificate into issued/, then into the ledger. The caller
// holds the lock.
func (a *Authority) record(c *x509.Certificate, p issuance.Profile) error {
	serial := dn.Serial(c.SerialNumber)
	subject, err := dn.String(c.RawSubject)
	if err != nil {
		return err
	}
	if _, taken := a.ledger.Find(serial); taken {
		return fmt.Errorf("the serial number %s was drawn a second time: the random source of this machine cannot be trusted", serial)
	}
	path := filepath.Join(a.dir, IssuedDir, serial+".crt")
	if err := durable.WriteFile(path, pemfile.EncodeCertificates(c), 0o644); err != nil {
		return err
	}
	return a.ledger.Append(ledger.Entry{
		Event: ledger.Issued, At: a.now(), Serial: serial, Subject: subject, Profile: string(p), NotAfter: c.NotAfter.UTC(),
	})
}
