package issuance

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync/atomic"
	"time"
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
}

// An Issuer signs with one authority's key.
type Issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
	algorithm   x509.SignatureAlgorithm
	now         func() time.Time
	rand        io.Reader
}

// New refuses a key that is not the certificate's, and a certificate that may
// not sign others.
func New(c Config) (*Issuer, error) {
	i := &Issuer{certificate: c.Certificate, key: c.Key, now: c.Now, rand: c.Rand}
	if i.now == nil {
		i.now = time.Now
	}
	if i.rand == nil {
		i.rand = rand.Reader
	}
	if c.Key == nil {
		return nil, errors.New("an issuer needs its private key")
	}
	if err := CheckKey(c.Key.Public()); err != nil {
		return nil, err
	}
	var err error
	if i.algorithm, err = signatureAlgorithm(c.Key.Public()); err != nil {
		return nil, err
	}
	if c.Certificate == nil {
		return i, nil
	}
	if public, ok := c.Certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(c.Key.Public()) {
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
	if faults := i.lint(rehearsal, r); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

func (i *Issuer) template(r Request) (*x509.Certificate, error) {
	serial := make([]byte, serialBytes)
	if _, err := io.ReadFull(i.rand, serial); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	id, err := keyID(r.PublicKey)
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
	return t, nil
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

// keyID derives a key identifier as RFC 7093 section 2, method 1: the leftmost
// 160 bits of the SHA-256 of the key.
func keyID(public crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	bits, err := subjectPublicKey(spki)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bits)
	return bytes.Clone(sum[:20]), nil
}
