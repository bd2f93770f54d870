package device

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// readPEM reads an answer to Initialize: certificates, and perhaps the key, where
// an operator has uploaded both.
func readPEM(data []byte, key crypto.Signer) (*tls.Certificate, error) {
	var all []*x509.Certificate
	for len(data) > 0 {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			all = append(all, c)
		case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			uploaded, err := parseKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			key = uploaded
		}
	}
	return chainFor(key, all)
}

func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		return nil, errors.New("its private key is not understood: expected PKCS #8")
	}
	return key, nil
}

// oidSignedData is that of RFC 5652 section 5.1.
var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// contentInfo is that of RFC 5652 section 3.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0"`
}

// signedData is that of RFC 5652 section 5.1.
type signedData struct {
	Version      int
	Digests      asn1.RawValue
	Content      asn1.RawValue
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      asn1.RawValue
}

// readCertsOnly reads an answer of EST: base64 (RFC 8951 section 3.1) of SignedData
// that signs nothing and brings certificates (RFC 7030 section 4.2.3).
func readCertsOnly(data []byte, key crypto.Signer) (*tls.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(data), nil)))
	if err != nil {
		return nil, fmt.Errorf("expected PKCS #7 in base64: %w", err)
	}
	var info contentInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 || !info.Type.Equal(oidSignedData) {
		return nil, errors.New("expected PKCS #7 with certificates (RFC 7030 section 4.2.3)")
	}
	var signed signedData
	if rest, err := asn1.Unmarshal(info.Content.Bytes, &signed); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("its PKCS #7 is not understood: %w", errors.Join(err, errTrailing(rest)))
	}
	all, err := x509.ParseCertificates(signed.Certificates.Bytes)
	if err != nil {
		return nil, err
	}
	return chainFor(key, all)
}

func errTrailing(rest []byte) error {
	if len(rest) == 0 {
		return nil
	}
	return fmt.Errorf("%d bytes too many", len(rest))
}

// chainFor puts certificates in order, which a set does not have: that of the key,
// and those behind it, but for a root.
func chainFor(key crypto.Signer, all []*x509.Certificate) (*tls.Certificate, error) {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot be compared", key.Public())
	}
	at := slices.IndexFunc(all, func(c *x509.Certificate) bool { return public.Equal(c.PublicKey) })
	if at < 0 {
		return nil, fmt.Errorf("none of its %d certificates is for the device's key", len(all))
	}
	leaf := all[at]
	chain := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for last := leaf; len(chain.Certificate) <= len(all); {
		at := slices.IndexFunc(all, func(c *x509.Certificate) bool {
			return c != last && bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if at < 0 || bytes.Equal(all[at].RawSubject, all[at].RawIssuer) {
			break
		}
		last = all[at]
		chain.Certificate = append(chain.Certificate, last.Raw)
	}
	return chain, nil
}
