package pubkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// Describe names a public key's kind and size: "ECDSA P-256", "RSA 2048".
func Describe(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", public)
}

// Check refuses public keys that are weak, or too large to verify at ease:
// RSA outside 2048..8192 bits or with an exponent below 65537 (NIST SP 800-56B
// section 6.2), curves other than P-256, P-384, P-521, everything else but
// Ed25519.
func Check(public crypto.PublicKey) error {
	const want = "expected RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Errorf("the key is RSA with %d bits: %s", bits, want)
		}
		if k.E < 65537 || k.E%2 == 0 {
			return fmt.Errorf("the RSA key has the public exponent %d: expected 65537 or a larger odd number", k.E)
		}
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("the key is %s: %s", Describe(public), want)
}

// Equal tells whether two public keys are the same.
func Equal(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// ID derives a key identifier as RFC 7093 section 2, method 1: the leftmost
// 160 bits of the SHA-256 of the key.
func ID(public crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	bits, err := Bits(spki)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bits)
	return sum[:20:20], nil
}

// Bits returns the key's own bits within a SubjectPublicKeyInfo in DER (RFC
// 5280 section 4.1.2.7): what key identifiers and OCSP requests hash.
func Bits(spki []byte) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	rest, err := asn1.Unmarshal(spki, &info)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow it", len(rest))
	}
	if err != nil {
		return nil, fmt.Errorf("the public key has no SubjectPublicKeyInfo: %w", err)
	}
	return info.PublicKey.RightAlign(), nil
}
