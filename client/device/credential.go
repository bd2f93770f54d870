package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// A Credential is the certificate that a device has, with its key. It is safe for
// concurrent use.
type Credential struct {
	cfg     Config
	current atomic.Pointer[tls.Certificate]
}

// New makes one of what a device has already: cfg.Certificate, its own.
func New(cfg Config) (*Credential, error) {
	given, err := cfg.shown()
	if err != nil {
		return nil, err
	}
	complete := *given
	if complete.Leaf == nil {
		if complete.Leaf, err = x509.ParseCertificate(complete.Certificate[0]); err != nil {
			return nil, fmt.Errorf("the device's certificate: %w", err)
		}
	}
	return newCredential(cfg, &complete), nil
}

func newCredential(cfg Config, given *tls.Certificate) *Credential {
	c := &Credential{cfg: cfg}
	c.current.Store(given)
	return c
}

// Certificate is for tls.Config.GetClientCertificate: connections that begin after
// a renewal show the new certificate.
func (c *Credential) Certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// Leaf is the certificate itself.
func (c *Credential) Leaf() *x509.Certificate { return c.current.Load().Leaf }

// Due is when to renew: when a third of the certificate's time is left.
func (c *Credential) Due() time.Time {
	leaf := c.Leaf()
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
}

// PEM is the certificate, those behind it and the key, for one file that belongs to
// the device alone. A key in hardware cannot be written.
func (c *Credential) PEM() ([]byte, error) {
	current := c.current.Load()
	key, err := x509.MarshalPKCS8PrivateKey(current.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("the device's key cannot be written: %w", err)
	}
	var out bytes.Buffer
	for _, der := range current.Certificate {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	return out.Bytes(), nil
}

// Renew gets the same certificate once more for a new key, on P-256, by EST (RFC
// 7030 section 4.2.2). It asks with the current one, which stays in use if there is
// an error, and is good until it expires.
func (c *Credential) Renew(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return c.RenewFor(ctx, key)
}

// RenewFor is Renew for a key that the device has made, in hardware perhaps.
func (c *Credential) RenewFor(ctx context.Context, key crypto.Signer) error {
	current := c.current.Load()
	leaf := current.Leaf
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: leaf.RawSubject,
		DNSNames: leaf.DNSNames, URIs: leaf.URIs, EmailAddresses: leaf.EmailAddresses, IPAddresses: leaf.IPAddresses}, key)
	if err != nil {
		return fmt.Errorf("the signing request: %w", err)
	}
	path := "/.well-known/est/"
	if c.cfg.Label != "" {
		path += c.cfg.Label + "/"
	}
	body := strings.NewReader(base64.StdEncoding.EncodeToString(csr))
	answer, err := c.cfg.post(ctx, path+"simplereenroll", "application/pkcs10", "application/pkcs7-mime, application/problem+json", body,
		func() (*tls.Certificate, error) { return current, nil })
	if err != nil {
		return err
	}
	given, err := readCertsOnly(answer, key)
	if err != nil {
		return fmt.Errorf("the answer of %s: %w", c.cfg.URL, err)
	}
	if !c.current.CompareAndSwap(current, given) {
		return errors.New("it was renewed twice at the same time; the other certificate is in use")
	}
	return nil
}
