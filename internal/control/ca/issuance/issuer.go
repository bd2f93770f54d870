package issuance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync/atomic"
	"time"

	"countersign.dev/internal/control/ca/issuance/lint"
	"countersign.dev/internal/control/ca/pubkey"
)

const (
	// backdate forgives clients whose clock is behind ours.
	backdate = 5 * time.Minute
	// serialBytes of randomness in a serial number. With its top bit set the
	// number takes 17 octets in DER; RFC 5280 section 4.1.2.2 allows 20.
	serialBytes = 16
)

// Config makes an Issuer.
type Config struct {
	Certificate *x509.Certificate // nil: a root that does not exist yet, which can prepare itself alone
	Key         crypto.Signer
	Now         func() time.Time // nil: time.Now
	Rand        io.Reader        // of serial numbers; nil: crypto/rand
	Locations   lint.Locations   // put into what is issued to end entities
}

// An Issuer signs with one authority's key.
type Issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
	algorithm   x509.SignatureAlgorithm
	now         func() time.Time
	rand        io.Reader
	locations   lint.Locations
}

// New refuses a key that is not the certificate's, and a certificate that may
// not sign others.
func New(c Config) (*Issuer, error) {
	i := &Issuer{certificate: c.Certificate, key: c.Key, now: c.Now, rand: c.Rand, locations: c.Locations}
	if i.now == nil {
		i.now = time.Now
	}
	if i.rand == nil {
		i.rand = rand.Reader
	}
	if c.Key == nil {
		return nil, errors.New("an issuer needs its private key")
	}
	if err := pubkey.Check(c.Key.Public()); err != nil {
		return nil, err
	}
	var err error
	if i.algorithm, err = signatureAlgorithm(c.Key.Public()); err != nil {
		return nil, err
	}
	if c.Certificate == nil {
		return i, nil
	}
	if !pubkey.Equal(c.Certificate.PublicKey, c.Key.Public()) {
		return nil, errors.New("the private key does not belong to the certificate")
	}
	if !c.Certificate.BasicConstraintsValid || !c.Certificate.IsCA || c.Certificate.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("the certificate is not one of an authority (basicConstraints CA:true, keyUsage keyCertSign)")
	}
	return i, nil
}

// A Checked is a template that passed the checks of its Issuer. Only Prepare
// makes one; its zero value is refused.
type Checked struct {
	issuer   *Issuer
	template *x509.Certificate
	parent   *x509.Certificate
	public   crypto.PublicKey
	redeemed atomic.Bool

	// Shortened tells that the requested lifetime outlived the issuer's.
	Shortened bool
}

// Prepare builds the certificate that r asks for, then checks it as encoded.
// The error joins everything that is wrong with it.
func (i *Issuer) Prepare(r Request) (*Checked, error) {
	if (r.Profile == Root) != (i.certificate == nil) {
		return nil, errors.New("a root signs itself, once; everything else has an issuer")
	}
	if faults := r.check(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	c := &Checked{issuer: i, public: r.PublicKey}
	var err error
	if c.template, err = i.template(r); err != nil {
		return nil, err
	}
	c.parent = c.template
	if i.certificate != nil {
		c.parent = i.certificate
		if !i.now().Before(c.parent.NotAfter) {
			return nil, fmt.Errorf("the authority %q expired on %s UTC: make a new one",
				c.parent.Subject.CommonName, c.parent.NotAfter.UTC().Format(time.DateTime))
		}
		c.Shortened = fit(c.template, c.parent)
	}
	rehearsal, err := c.rehearse()
	if err != nil {
		return nil, fmt.Errorf("encode the certificate: %w", err)
	}
	if faults := lint.Check(i.expect(rehearsal, r)); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

func (i *Issuer) template(r Request) (*x509.Certificate, error) {
	serial := make([]byte, serialBytes)
	if _, err := io.ReadFull(i.rand, serial); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	id, err := pubkey.ID(r.PublicKey)
	if err != nil {
		return nil, err
	}
	now := i.now().UTC().Truncate(time.Second)
	t := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		SignatureAlgorithm:    i.algorithm,
		RawSubject:            r.Subject,
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(r.Lifetime),
		KeyUsage:              r.Profile.KeyUsage(),
		ExtKeyUsage:           r.Profile.ExtKeyUsage(),
		BasicConstraintsValid: true,
		IsCA:                  r.Profile.IsCA(),
		SubjectKeyId:          id,
		DNSNames:              r.Names.DNS,
		URIs:                  r.Names.URIs,
		EmailAddresses:        r.Names.Emails,
		IPAddresses:           r.Names.IPs,
	}
	if t.IsCA {
		t.MaxPathLen = r.Profile.pathLen()
		t.MaxPathLenZero = t.MaxPathLen == 0
	}
	if i.certificate != nil {
		t.AuthorityKeyId = i.certificate.SubjectKeyId
	}
	at := i.where(r.Profile)
	t.CRLDistributionPoints, t.OCSPServer, t.IssuingCertificateURL = list(at.CRL), list(at.OCSP), list(at.Issuer)
	t.ExtraExtensions = r.Profile.extra()
	return t, nil
}

// where says what a certificate of that profile tells of places: authorities
// are on the list of a root that may be far away.
func (i *Issuer) where(p Profile) lint.Locations {
	at := i.locations
	switch {
	case p.IsCA():
		return lint.Locations{}
	case p == OCSP: // is not asked about itself, RFC 6960 section 4.2.2.2.1
		at.OCSP, at.CRL = "", ""
	}
	return at
}

func list(url string) []string {
	if url == "" {
		return nil
	}
	return []string{url}
}

// expect is c with what r and its profile want of it.
func (i *Issuer) expect(c *x509.Certificate, r Request) lint.Case {
	p := r.Profile
	return lint.Case{Certificate: c, Issuer: i.certificate, Now: i.now(), Want: lint.Want{
		Subject: r.Subject, Names: r.Names.Len(), Wildcards: p == Server, PublicKey: r.PublicKey,
		CA: p.IsCA(), MaxPathLen: p.pathLen(), SelfIssued: p == Cross, KeyUsage: p.KeyUsage(), ExtKeyUsage: p.ExtKeyUsage(),
		Locations: i.where(p), Extra: p.extra(),
	}}
}

// fit moves t's validity inside its issuer's: a certificate that outlives its
// issuer promises what nobody can keep. It tells whether the end had to move.
func fit(t, issuer *x509.Certificate) (shortened bool) {
	if t.NotBefore.Before(issuer.NotBefore) {
		t.NotBefore = issuer.NotBefore
	}
	if t.NotAfter.After(issuer.NotAfter) {
		t.NotAfter = issuer.NotAfter
		return true
	}
	return false
}

// rehearse encodes the certificate, signed with a key made for this purpose
// alone, and decodes it again. Nothing but the signature differs from what
// Issue will make.
func (c *Checked) rehearse() (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, parent := *c.template, *c.parent
	template.SignatureAlgorithm = x509.ECDSAWithSHA256
	parent.PublicKey = key.Public()
	der, err := x509.CreateCertificate(rand.Reader, &template, &parent, c.public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Issue signs what Prepare checked. A second call with the same Checked is
// refused: it would make two certificates of one serial number.
func (i *Issuer) Issue(c *Checked) (*x509.Certificate, error) {
	if c == nil || c.template == nil || c.issuer != i {
		return nil, errors.New("issue: this issuer did not check the template")
	}
	if c.redeemed.Swap(true) {
		return nil, errors.New("issue: the template was signed already")
	}
	der, err := x509.CreateCertificate(rand.Reader, c.template, c.parent, c.public, i.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
