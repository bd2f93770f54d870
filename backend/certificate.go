package backend

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/wire/dn"
	"countersign.dev/internal/wire/san"
)

// clientOf is the Client that a certificate describes.
func clientOf(leaf *x509.Certificate, verified bool) (*Client, error) {
	c := &Client{Certificate: leaf, Verified: verified}
	c.Fingerprint = sha256.Sum256(leaf.Raw)
	if !verified {
		return c, nil // what it says of itself is nobody's word
	}
	id, err := describe(leaf)
	if err != nil {
		return nil, fmt.Errorf("the client's certificate: %w", err)
	}
	c.Identity = id
	return c, nil
}

func describe(leaf *x509.Certificate) (id countersign.Identity, err error) {
	subject, err := dn.Parse(leaf.RawSubject)
	if err != nil {
		return id, err
	}
	issuer, err := dn.String(leaf.RawIssuer)
	if err != nil {
		return id, err
	}
	id = countersign.Identity{
		Subject: subject.String(), Issuer: issuer, Serial: dn.Serial(leaf.SerialNumber), Fingerprint: sha256.Sum256(leaf.Raw),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}
	if id.CommonNames, err = subject.Values(dn.CommonName); err != nil {
		return id, err
	}
	if id.OrganizationalUnits, err = subject.Values(dn.OrganizationalUnit); err != nil {
		return id, err
	}
	names := san.Of(leaf)
	for kind, value, ok := names.Next(); ok; kind, value, ok = names.Next() {
		switch kind {
		case san.DNS:
			id.DNSNames = append(id.DNSNames, string(value))
		case san.URI:
			id.URIs = append(id.URIs, string(value))
		case san.Email:
			id.Emails = append(id.Emails, string(value))
		case san.IP:
			ip, ok := netip.AddrFromSlice(value)
			if !ok {
				return id, fmt.Errorf("an IP address of %d bytes", len(value))
			}
			id.IPs = append(id.IPs, ip)
		}
	}
	return id, names.Err()
}

// same holds a field that names the client against its certificate. A space at the
// end of a name is sent as \20, since readers of fields drop it.
func same(what, said, certificate string) error {
	if trimmed, ok := strings.CutSuffix(certificate, `\ `); ok {
		certificate = trimmed + `\20`
	}
	if said != certificate {
		return fmt.Errorf("the header says that the %s is %q, the certificate %q", what, said, certificate)
	}
	return nil
}

// escapedPEM reads certificates in PEM that are percent-encoded.
func escapedPEM(s string) ([]*x509.Certificate, error) {
	text, err := url.PathUnescape(s)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for rest := []byte(text); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("want certificates in PEM and nothing else")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no certificate")
	}
	return all, nil
}

// oneEscapedPEM is escapedPEM for exactly one.
func oneEscapedPEM(s string) (*x509.Certificate, error) {
	all, err := escapedPEM(s)
	if err == nil && len(all) > 1 {
		err = fmt.Errorf("there are %d certificates: want one", len(all))
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// encodedDER reads one certificate in base64.
func encodedDER(s string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// beside reads the fields that tell of the client's device and credential, which
// are the same in all dialects but token.
func (c *Client) beside(h http.Header) error {
	for name, into := range map[string]*string{
		"X-Device-Id": &c.Device.ID, "X-Device-State": &c.Device.State,
		"X-Auth-Subject": &c.Credential.Subject, "X-Auth-Type": &c.Credential.Type, "X-Auth-Credential": &c.Credential.Name,
	} {
		raw, err := field(h, name)
		if err != nil {
			return err
		}
		if *into, err = url.PathUnescape(raw); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	return nil
}
