package issuance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"

	"countersign.dev/internal/control/ca/pubkey"
)

// A KeyType is a kind of key that is made here.
type KeyType string

// The key types. The zero value means ECDSAP256.
const (
	ECDSAP256 KeyType = "ecdsa-p256"
	ECDSAP384 KeyType = "ecdsa-p384"
	RSA2048   KeyType = "rsa-2048"
	RSA3072   KeyType = "rsa-3072"
	RSA4096   KeyType = "rsa-4096"
)

// KeyTypes lists every key type, the default first.
func KeyTypes() []KeyType { return []KeyType{ECDSAP256, ECDSAP384, RSA2048, RSA3072, RSA4096} }

// ParseKeyType reads the word for a key type.
func ParseKeyType(s string) (KeyType, error) {
	var words []string
	for _, t := range KeyTypes() {
		if s == string(t) {
			return t, nil
		}
		words = append(words, string(t))
	}
	return "", fmt.Errorf("key type %q is unknown: expected one of %s", s, strings.Join(words, ", "))
}

// Generate makes a new private key.
func (t KeyType) Generate() (crypto.Signer, error) {
	switch t {
	case ECDSAP256, "":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	_, err := ParseKeyType(string(t))
	return nil, err
}

// signatureAlgorithm pairs an authority's key with a hash of at least SHA-256.
func signatureAlgorithm(public crypto.PublicKey) (x509.SignatureAlgorithm, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return x509.SHA256WithRSA, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return x509.ECDSAWithSHA256, nil
		case elliptic.P384():
			return x509.ECDSAWithSHA384, nil
		case elliptic.P521():
			return x509.ECDSAWithSHA512, nil
		}
	}
	return 0, fmt.Errorf("an authority cannot sign with a %s key: expected RSA or ECDSA", pubkey.Describe(public))
}
