package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1" // for SHA1, which is here to be refused
	_ "crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

// An algorithm is a signature algorithm that crypto/x509 does not sign with.
type algorithm struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}

// SHA1 signs with SHA-1 and the issuer's key, RSA or ECDSA.
func SHA1(issuer *Certificate) Option {
	oid := asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1} // ecdsa-with-SHA1
	if _, ok := issuer.Key.(*rsa.PrivateKey); ok {
		oid = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5} // sha1WithRSAEncryption
	}
	return func(s *spec) { s.algorithm = &algorithm{oid, crypto.SHA1} }
}

// UnknownSignatureAlgorithm names an algorithm that nobody knows.
func UnknownSignatureAlgorithm() Option {
	return func(s *spec) {
		s.algorithm = &algorithm{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, crypto.SHA256}
	}
}

// Version1 makes an X.509 v1 certificate: no version field, no extensions.
func Version1() Option {
	return EditTBS(func(tbs []byte) []byte {
		return mapElements(tbs, func(e asn1.RawValue) []byte {
			if e.Class == asn1.ClassContextSpecific && (e.Tag == 0 || e.Tag == 3) {
				return nil
			}
			return e.FullBytes
		})
	})
}

// mapElements replaces every element of a DER SEQUENCE by f's answer.
func mapElements(der []byte, f func(asn1.RawValue) []byte) []byte {
	var seq asn1.RawValue
	if _, err := asn1.Unmarshal(der, &seq); err != nil {
		panic(err)
	}
	var out []byte
	for rest := seq.Bytes; len(rest) > 0; {
		var e asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &e); err != nil {
			panic(err)
		}
		out = append(out, f(e)...)
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: seq.Tag, Class: seq.Class, IsCompound: true, Bytes: out})
	if err != nil {
		panic(err)
	}
	return der
}

// In returns c for use in another test: a fuzz target has a testing.T of its own.
func (c *Certificate) In(tb testing.TB) *Certificate {
	copied := *c
	copied.tb = tb
	return &copied
}

// Resign changes the signed part of a certificate or revocation list and signs
// it again with c's key: for objects that crypto/x509 refuses to make.
func (c *Certificate) Resign(der []byte, edit func(tbs []byte) []byte) []byte {
	c.tb.Helper()
	return resign(c.tb, der, c.Key, edit, nil)
}

func resign(tb testing.TB, der []byte, key crypto.Signer, edit func([]byte) []byte, alg *algorithm) []byte {
	tb.Helper()
	var outer struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		tb.Fatalf("testpki: resign: %v", err)
	}
	tbs, algDER, hash := outer.TBS.FullBytes, outer.Algorithm.FullBytes, crypto.SHA256
	if alg != nil {
		hash = alg.hash
		old := algDER
		var err error
		if algDER, err = asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: alg.oid}); err != nil {
			tb.Fatal(err)
		}
		tbs = mapElements(tbs, func(e asn1.RawValue) []byte {
			if string(e.FullBytes) == string(old) {
				return algDER
			}
			return e.FullBytes
		})
	}
	if edit != nil {
		tbs = edit(tbs)
	}
	sig, err := signWith(key, hash, tbs)
	if err != nil {
		tb.Fatalf("testpki: resign: %v", err)
	}
	out, err := asn1.Marshal(struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, asn1.RawValue{FullBytes: algDER}, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	if err != nil {
		tb.Fatalf("testpki: resign: %v", err)
	}
	return out
}

func signWith(key crypto.Signer, hash crypto.Hash, message []byte) ([]byte, error) {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return key.Sign(random, message, crypto.Hash(0))
	}
	// x509 signs P-384 with SHA-384 and P-521 with SHA-512.
	if k, ok := key.(*ecdsa.PrivateKey); ok && hash == crypto.SHA256 {
		switch k.Curve.Params().BitSize {
		case 384:
			hash = crypto.SHA384
		case 521:
			hash = crypto.SHA512
		}
	}
	h := hash.New()
	h.Write(message)
	return key.Sign(random, h.Sum(nil), hash)
}
