package ocsp

import (
	"crypto"
	"crypto/sha1" // what RFC 6960 and RFC 5019 section 2.1.1 have responders know: it names, and proves nothing
	"crypto/sha256"
	_ "crypto/sha512" // for responders that name issuers by SHA-384 or SHA-512
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
)

// A Question is about one certificate.
type Question struct {
	Issuer *x509.Certificate // of a verified path
	Serial *big.Int
	// Nonce, unless empty, has to come back: then the response is not an old one
	// (RFC 9654).
	Nonce []byte
}

// A Key tells a question, asked under certain terms, from every other one.
type Key [sha256.Size]byte

// KeyOf returns the key of a question. terms say how it is asked: answers
// are never taken from those to others. It does not allocate as a rule.
func KeyOf(terms [32]byte, issuer *x509.Certificate, serial *big.Int) Key {
	var space [1024]byte
	b := append(space[:0], terms[:]...)
	for _, part := range [...][]byte{issuer.RawSubject, issuer.RawSubjectPublicKeyInfo} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	b = append(b, byte(serial.Sign()))
	n := len(b)
	b = append(b, make([]byte, (serial.BitLen()+7)/8)...)
	serial.FillBytes(b[n:])
	return sha256.Sum256(b)
}

// The types of RFC 6960 section 4.1.1, as far as they are used.
type (
	request struct {
		TBS tbsRequest
	}
	tbsRequest struct {
		List       []single
		Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
	}
	single struct{ ID certID }
	certID struct {
		Hash     pkix.AlgorithmIdentifier
		NameHash []byte
		KeyHash  []byte
		Serial   *big.Int
	}
)

// oidNonce is id-pkix-ocsp-nonce.
var oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

// Request returns the request in DER.
func (q Question) Request() ([]byte, error) {
	name, key, err := hashes(q.Issuer, crypto.SHA1)
	if err != nil {
		return nil, err
	}
	r := request{tbsRequest{List: []single{{certID{
		Hash:     pkix.AlgorithmIdentifier{Algorithm: oidSHA1, Parameters: asn1.NullRawValue},
		NameHash: name, KeyHash: key, Serial: q.Serial,
	}}}}}
	if len(q.Nonce) > 0 {
		value, err := asn1.Marshal(q.Nonce) // an OCTET STRING in the extension's own (RFC 9654 section 2.1)
		if err != nil {
			return nil, err
		}
		r.TBS.Extensions = []pkix.Extension{{Id: oidNonce, Value: value}}
	}
	return asn1.Marshal(r)
}

var (
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

// hashOf returns the algorithm that names an issuer, 0 for one that none should use.
func hashOf(oid asn1.ObjectIdentifier) crypto.Hash {
	switch {
	case oid.Equal(oidSHA1):
		return crypto.SHA1
	case oid.Equal(oidSHA256):
		return crypto.SHA256
	case oid.Equal(oidSHA384):
		return crypto.SHA384
	case oid.Equal(oidSHA512):
		return crypto.SHA512
	}
	return 0
}

// hashes are those of the issuer's name, and of its key without the algorithm
// (RFC 6960 section 4.1.1).
func hashes(issuer *x509.Certificate, algorithm crypto.Hash) (name, key []byte, err error) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil, nil, fmt.Errorf("the issuer's key: %w", err)
	}
	if algorithm == crypto.SHA1 {
		n, k := sha1.Sum(issuer.RawSubject), sha1.Sum(spki.Key.RightAlign())
		return n[:], k[:], nil
	}
	h := algorithm.New()
	h.Write(issuer.RawSubject)
	name = h.Sum(nil)
	h.Reset()
	h.Write(spki.Key.RightAlign())
	return name, h.Sum(nil), nil
}
