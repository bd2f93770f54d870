package revocation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // for the hashes below
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A scheme is how a list is signed.
type scheme int

const (
	rsaPKCS1 scheme = iota + 1
	rsaPSS
	ecdsaASN1
	pureEd25519
)

// A signature keeps the hash of what was signed, not the tens of megabytes
// themselves; Ed25519 leaves no choice.
type signature struct {
	scheme  scheme
	hash    crypto.Hash
	message []byte // the digest, or for Ed25519 everything
	value   []byte
}

var errNotSigned = errors.New("the signature is not of that key")

// verify checks the signature against an issuer's public key.
func (s *signature) verify(public crypto.PublicKey) error {
	ok := false
	switch key := public.(type) {
	case *rsa.PublicKey:
		switch s.scheme {
		case rsaPKCS1:
			ok = rsa.VerifyPKCS1v15(key, s.hash, s.message, s.value) == nil
		case rsaPSS:
			ok = rsa.VerifyPSS(key, s.hash, s.message, s.value, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	case *ecdsa.PublicKey:
		ok = s.scheme == ecdsaASN1 && ecdsa.VerifyASN1(key, s.message, s.value)
	case ed25519.PublicKey:
		ok = s.scheme == pureEd25519 && ed25519.Verify(key, s.message, s.value)
	}
	if !ok {
		return errNotSigned
	}
	return nil
}

// algorithms are the signatures taken: those of AWS for certificates, and
// Ed25519 (RFC 8410). SHA-1 and MD5 are not among them.
func algorithms() []struct {
	oid    asn1.ObjectIdentifier
	scheme scheme
	hash   crypto.Hash
} {
	return []struct {
		oid    asn1.ObjectIdentifier
		scheme scheme
		hash   crypto.Hash
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, ecdsaASN1, crypto.SHA256},
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, ecdsaASN1, crypto.SHA384},
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, ecdsaASN1, crypto.SHA512},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, rsaPKCS1, crypto.SHA256},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, rsaPKCS1, crypto.SHA384},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, rsaPKCS1, crypto.SHA512},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, rsaPSS, 0},
		{asn1.ObjectIdentifier{1, 3, 101, 112}, pureEd25519, 0},
	}
}

// parseSignature reads the AlgorithmIdentifier and the signature over tbs.
func parseSignature(algorithm cryptobyte.String, tbs, value []byte) (signature, error) {
	s := signature{value: bytes.Clone(value)}
	var oid asn1.ObjectIdentifier
	var inner cryptobyte.String
	if !algorithm.ReadASN1(&inner, cbasn1.SEQUENCE) || !inner.ReadASN1ObjectIdentifier(&oid) {
		return s, errors.New("the signature algorithm is malformed")
	}
	for _, a := range algorithms() {
		if oid.Equal(a.oid) {
			s.scheme, s.hash = a.scheme, a.hash
		}
	}
	switch s.scheme {
	case 0:
		if oid.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}) || oid.Equal(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}) {
			return s, errors.New("it is signed with SHA-1, which can be forged; let the authority sign with SHA-256")
		}
		return s, fmt.Errorf("its signature algorithm %v is not supported; want RSA, RSA-PSS or ECDSA with SHA-256, SHA-384 or SHA-512, or Ed25519", oid)
	case rsaPSS:
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			if bytes.Equal(inner, pssParameters(h)) {
				s.hash = h
			}
		}
		if s.hash == 0 {
			return s, errors.New("its RSA-PSS parameters are not supported; want SHA-256, SHA-384 or SHA-512 for digest and MGF1, and a salt as long as the digest")
		}
	case pureEd25519:
		s.message = bytes.Clone(tbs)
		return s, nil
	}
	h := s.hash.New()
	h.Write(tbs)
	s.message = h.Sum(nil)
	return s, nil
}

// pssParameters returns the one encoding of RSASSA-PSS-params (RFC 4055 section
// 3.1) that RFC 5756 and crypto/x509 know for a hash.
func pssParameters(h crypto.Hash) []byte {
	oid := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, map[crypto.Hash]int{crypto.SHA256: 1, crypto.SHA384: 2, crypto.SHA512: 3}[h]}
	var b cryptobyte.Builder
	hash := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1NULL()
		})
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), hash)
		b.AddASN1(cbasn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}) // MGF1
				hash(b)
			})
		})
		b.AddASN1(cbasn1.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(h.Size())) })
	})
	return b.BytesOrPanic()
}
