package crl

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
	"hash"

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

// mostEd25519 bounds a list that Ed25519 signed: its signature is over the list
// itself, not over a hash, so that the whole list has to be kept.
const mostEd25519 = 16 << 20

// A signature keeps the hash of what was signed, not the tens of megabytes
// themselves; Ed25519 leaves no choice. Between begin and seal it is the writer
// that what was signed is written to.
type signature struct {
	scheme  scheme
	hash    crypto.Hash
	running hash.Hash // nil for Ed25519, and after seal
	message []byte    // the digest, or for Ed25519 everything
	value   []byte
	long    bool // Ed25519: more than mostEd25519
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

// begin reads the AlgorithmIdentifier and is ready for what was signed.
func (s *signature) begin(algorithm cryptobyte.String) error {
	var oid asn1.ObjectIdentifier
	var inner cryptobyte.String
	if !algorithm.ReadASN1(&inner, cbasn1.SEQUENCE) || !inner.ReadASN1ObjectIdentifier(&oid) {
		return errors.New("the signature algorithm is malformed")
	}
	for _, a := range algorithms() {
		if oid.Equal(a.oid) {
			s.scheme, s.hash = a.scheme, a.hash
		}
	}
	switch s.scheme {
	case 0:
		if oid.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}) || oid.Equal(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}) {
			return errors.New("it is signed with SHA-1, which can be forged; let the authority sign with SHA-256")
		}
		return fmt.Errorf("its signature algorithm %v is not supported; want RSA, RSA-PSS or ECDSA with SHA-256, SHA-384 or SHA-512, or Ed25519", oid)
	case rsaPSS:
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			if bytes.Equal(inner, pssParameters(h)) {
				s.hash = h
			}
		}
		if s.hash == 0 {
			return errors.New("its RSA-PSS parameters are not supported; want SHA-256, SHA-384 or SHA-512 for digest and MGF1, and a salt as long as the digest")
		}
	case pureEd25519:
		return nil
	}
	s.running = s.hash.New()
	return nil
}

// Write takes the next part of what was signed.
func (s *signature) Write(part []byte) (int, error) {
	switch {
	case s.running != nil:
		s.running.Write(part)
	case len(s.message)+len(part) > mostEd25519:
		s.message, s.long = nil, true
	case !s.long:
		s.message = append(s.message, part...)
	}
	return len(part), nil
}

// seal takes the signature's value, when all that was signed has been written.
func (s *signature) seal(value []byte) error {
	if s.long {
		return fmt.Errorf("it has more than %d MiB and is signed with Ed25519, for which all of it would have to be kept; let the authority sign with ECDSA, or in partitions", mostEd25519>>20)
	}
	s.value = bytes.Clone(value)
	if s.running != nil {
		s.message, s.running = s.running.Sum(nil), nil
	}
	s.message = bytes.Clone(s.message) // gives back what it could have grown by
	return nil
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
