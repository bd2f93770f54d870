package testpki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// A Certificate is a certificate, its private key and who issued it: a
// certification authority and a client alike.
type Certificate struct {
	X509   *x509.Certificate
	Key    crypto.Signer // nil when PublicKey lent a public key alone
	Issuer *Certificate  // nil when self-signed
	tb     testing.TB
}

// NewRoot makes a self-signed certification authority.
func NewRoot(tb testing.TB, name string, opts ...Option) *Certificate {
	tb.Helper()
	return issue(tb, nil, name, append([]Option{authority(10 * 365 * 24 * time.Hour)}, opts...))
}

// NewSelfSigned makes a self-signed certificate that is no authority.
func NewSelfSigned(tb testing.TB, name string, opts ...Option) *Certificate {
	tb.Helper()
	return issue(tb, nil, name, append([]Option{EKU(x509.ExtKeyUsageClientAuth)}, opts...))
}

// Intermediate makes a certification authority below c.
func (c *Certificate) Intermediate(name string, opts ...Option) *Certificate {
	c.tb.Helper()
	return issue(c.tb, c, name, append([]Option{authority(5 * 365 * 24 * time.Hour)}, opts...))
}

// Client makes a leaf for TLS client authentication; name is its common name.
func (c *Certificate) Client(name string, opts ...Option) *Certificate {
	c.tb.Helper()
	return issue(c.tb, c, name, append([]Option{EKU(x509.ExtKeyUsageClientAuth)}, opts...))
}

// Server makes a leaf for TLS server authentication. Its subject alternative
// name is name, as a DNS name or an IP address, unless an Option says otherwise;
// "localhost" also gets 127.0.0.1 and ::1.
func (c *Certificate) Server(name string, opts ...Option) *Certificate {
	c.tb.Helper()
	names := func(s *spec) {
		if ip := net.ParseIP(name); ip != nil {
			s.template.IPAddresses = []net.IP{ip}
			return
		}
		s.template.DNSNames = []string{name}
		if name == "localhost" {
			s.template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		}
	}
	return issue(c.tb, c, name, append([]Option{EKU(x509.ExtKeyUsageServerAuth), names}, opts...))
}

// Chain returns c and its issuers without the root: what a peer presents.
func (c *Certificate) Chain() []*x509.Certificate {
	chain := []*x509.Certificate{c.X509}
	for i := c.Issuer; i != nil && i.Issuer != nil; i = i.Issuer {
		chain = append(chain, i.X509)
	}
	return chain
}

// TLS returns Chain and the key, for tls.Config.Certificates.
func (c *Certificate) TLS() tls.Certificate {
	t := tls.Certificate{PrivateKey: c.Key, Leaf: c.X509}
	for _, x := range c.Chain() {
		t.Certificate = append(t.Certificate, x.Raw)
	}
	return t
}

// Pool returns a pool that holds c alone.
func (c *Certificate) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.X509)
	return p
}

// issue makes a certificate signed by issuer, or by itself when issuer is nil.
func issue(tb testing.TB, issuer *Certificate, name string, opts []Option) *Certificate {
	tb.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	s := &spec{keyType: P256, template: &x509.Certificate{
		SerialNumber:          newSerial(tb),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(30 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}}
	for _, o := range opts {
		o(s)
	}
	c := &Certificate{Issuer: issuer, tb: tb}
	var public crypto.PublicKey
	switch {
	case s.public != nil:
		public = s.public
	case s.key != nil:
		c.Key, public = s.key, s.key.Public()
	default:
		c.Key = newKey(tb, s.keyType, s.template.IsCA)
		public = c.Key.Public()
	}
	parent, signer := s.template, c.Key
	if issuer != nil {
		parent, signer = issuer.X509, issuer.Key
	}
	if signer == nil {
		tb.Fatalf("testpki: %s has no private key to sign %s with", parent.Subject, name)
	}
	der, err := x509.CreateCertificate(random, s.template, parent, public, signer)
	if err != nil {
		tb.Fatalf("testpki: %s: %v", name, err)
	}
	if s.edit != nil || s.algorithm != nil {
		der = resign(tb, der, signer, s.edit, s.algorithm)
	}
	if c.X509, err = x509.ParseCertificate(der); err != nil {
		tb.Fatalf("testpki: %s: made a certificate that does not parse: %v", name, err)
	}
	return c
}

// newSerial returns a positive serial number of 64 random bits.
func newSerial(tb testing.TB) *big.Int {
	var b [8]byte
	if _, err := random.Read(b[:]); err != nil {
		tb.Fatal(err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// PEM returns c's certificate alone.
func (c *Certificate) PEM() []byte { return PEM(c.X509) }

// PEM returns certs as PEM blocks one after the other.
func PEM(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

// KeyPEM returns c's private key in PKCS#8.
func (c *Certificate) KeyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		c.tb.Fatalf("testpki: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
