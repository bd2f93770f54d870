package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"sync"
	"testing"
)

// A KeyType names a kind of key.
type KeyType string

// The kinds of keys. RSA keys are shared: every certification authority of one
// size has the same key, every leaf of one size another; WithKey gives a
// certificate a key of its own.
const (
	P224    KeyType = "P-224"
	P256    KeyType = "P-256"
	P384    KeyType = "P-384"
	P521    KeyType = "P-521"
	RSA1024 KeyType = "RSA-1024"
	RSA2048 KeyType = "RSA-2048"
	RSA3072 KeyType = "RSA-3072"
	Ed25519 KeyType = "Ed25519"
)

// Key generation is all that is slow here, hence these once-only values.
var (
	rsa1024CA, rsa1024Leaf = onceRSA(1024), onceRSA(1024)
	rsa2048CA, rsa2048Leaf = onceRSA(2048), onceRSA(2048)
	rsa3072CA, rsa3072Leaf = onceRSA(3072), onceRSA(3072)
)

func onceRSA(bits int) func() (*rsa.PrivateKey, error) {
	return sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(random, bits) })
}

func newKey(tb testing.TB, t KeyType, ca bool) crypto.Signer {
	tb.Helper()
	shared := func(forCA, forLeaf func() (*rsa.PrivateKey, error)) (crypto.Signer, error) {
		if ca {
			return forCA()
		}
		return forLeaf()
	}
	var key crypto.Signer
	var err error
	switch t {
	case P224:
		key, err = ecdsa.GenerateKey(elliptic.P224(), random)
	case P256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), random)
	case P384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), random)
	case P521:
		key, err = ecdsa.GenerateKey(elliptic.P521(), random)
	case Ed25519:
		_, key, err = ed25519.GenerateKey(random)
	case RSA1024:
		key, err = shared(rsa1024CA, rsa1024Leaf)
	case RSA2048:
		key, err = shared(rsa2048CA, rsa2048Leaf)
	case RSA3072:
		key, err = shared(rsa3072CA, rsa3072Leaf)
	default:
		tb.Fatalf("testpki: unknown key type %q", t)
	}
	if err != nil {
		tb.Fatalf("testpki: %s key: %v", t, err)
	}
	return key
}

// HugeRSA returns an RSA public key of that many bits without spending the
// minutes that a real one takes: nobody holds a private key to it.
func HugeRSA(tb testing.TB, bits int) *rsa.PublicKey {
	tb.Helper()
	b := make([]byte, bits/8)
	if _, err := random.Read(b); err != nil {
		tb.Fatal(err)
	}
	b[0] |= 0x80
	b[len(b)-1] |= 1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(b), E: 65537}
}
