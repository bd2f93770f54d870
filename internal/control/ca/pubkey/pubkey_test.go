package pubkey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"
)

func TestWeakKeysAreRefused(t *testing.T) {
	curve := func(c elliptic.Curve) crypto.PublicKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k.Public()
	}
	modulus := func(bits uint) *big.Int { return new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1) }
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		key  crypto.PublicKey
		name string
		ok   bool
	}{
		{curve(elliptic.P256()), "ECDSA P-256", true},
		{curve(elliptic.P521()), "ECDSA P-521", true},
		{curve(elliptic.P224()), "ECDSA P-224", false},
		{&rsa.PublicKey{N: modulus(2048), E: 65537}, "RSA 2048", true},
		{&rsa.PublicKey{N: modulus(2047), E: 65537}, "RSA 2047", false},
		{&rsa.PublicKey{N: modulus(8193), E: 65537}, "RSA 8193", false},
		{&rsa.PublicKey{N: modulus(2048), E: 3}, "RSA 2048", false},
		{ed, "Ed25519", true},
		{"", "string", false},
	} {
		if err := Check(tc.key); (err == nil) != tc.ok || Describe(tc.key) != tc.name {
			t.Errorf("%s: described as %s, error %v", tc.name, Describe(tc.key), err)
		}
	}
}

func TestAKeyHasOneIdentifier(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ID(k.Public())
	if err != nil || len(a) != 20 {
		t.Fatalf("%x, %v; want 20 bytes", a, err)
	}
	if again, err := ID(k.Public()); err != nil || !bytes.Equal(a, again) {
		t.Errorf("%x, then %x, %v", a, again, err)
	}
	if b, err := ID(other); err != nil || bytes.Equal(a, b) || Equal(k.Public(), other) {
		t.Errorf("another key has %x, %v", b, err)
	}
	if _, err := Bits([]byte("x")); err == nil {
		t.Error("bits were found in what is no key")
	}
}
