package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// An OCSP is an OCSP response (RFC 6960 section 4.2), right or wrong: what is
// zero is as it should be, for a certificate that is good for an hour.
type OCSP struct {
	Of     *Certificate // whom it is about, as its issuer's
	Serial *big.Int     // instead of Of's
	Issuer *Certificate // instead of Of's
	Signer *Certificate // instead of the issuer; its certificate is in the response

	Status               int // 0 good, 1 revoked, 2 unknown
	RevokedAt            time.Time
	Reason               int
	ThisUpdate           time.Time
	NextUpdate           time.Time
	WithoutNext          bool
	Hash                 crypto.Hash // that names the issuer; 0: SHA-1
	Nonce                []byte
	CriticalExtension    asn1.ObjectIdentifier
	Embedded             []*Certificate // certificates in the response, instead of Signer's
	BreakSignature       bool
	SignatureByOtherThan bool // the signer's certificate with somebody else's key
}

type (
	ocspCertID struct {
		Hash     pkix.AlgorithmIdentifier
		NameHash []byte
		KeyHash  []byte
		Serial   *big.Int
	}
	ocspRevoked struct {
		At     time.Time       `asn1:"generalized"`
		Reason asn1.Enumerated `asn1:"explicit,tag:0"`
	}
	ocspSingle struct {
		ID         ocspCertID
		Good       asn1.Flag   `asn1:"tag:0,optional"`
		Revoked    ocspRevoked `asn1:"tag:1,optional"`
		Unknown    asn1.Flag   `asn1:"tag:2,optional"`
		ThisUpdate time.Time   `asn1:"generalized"`
		NextUpdate time.Time   `asn1:"generalized,explicit,tag:0,optional"`
	}
	ocspData struct {
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Responses  []ocspSingle
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional,omitempty"`
	}
	ocspBasic struct {
		TBS          asn1.RawValue
		Algorithm    pkix.AlgorithmIdentifier
		Signature    asn1.BitString
		Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional,omitempty"`
	}
	ocspResponse struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0"`
	}
)

// DER returns the response.
func (o OCSP) DER(tb testing.TB) []byte {
	tb.Helper()
	must := func(der []byte, err error) []byte {
		tb.Helper()
		if err != nil {
			tb.Fatalf("testpki: OCSP: %v", err)
		}
		return der
	}
	if o.Issuer == nil {
		o.Issuer = o.Of.Issuer
	}
	if o.Serial == nil {
		o.Serial = o.Of.X509.SerialNumber
	}
	signer := o.Issuer
	if o.Signer != nil {
		signer = o.Signer
		if o.Embedded == nil {
			o.Embedded = []*Certificate{signer}
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	utc := func(t *time.Time, def time.Time) {
		if t.IsZero() {
			*t = def
		}
		*t = t.UTC().Truncate(time.Second)
	}
	utc(&o.ThisUpdate, now.Add(-time.Minute))
	utc(&o.NextUpdate, now.Add(time.Hour))
	utc(&o.RevokedAt, now.Add(-time.Hour))
	if o.WithoutNext {
		o.NextUpdate = time.Time{}
	}

	one := ocspSingle{ID: o.id(tb), ThisUpdate: o.ThisUpdate, NextUpdate: o.NextUpdate}
	switch o.Status {
	case 0:
		one.Good = true
	case 1:
		one.Revoked = ocspRevoked{o.RevokedAt, asn1.Enumerated(o.Reason)}
	default:
		one.Unknown = true
	}
	data := ocspData{
		Responder:  asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: signer.X509.RawSubject},
		ProducedAt: o.ThisUpdate, Responses: []ocspSingle{one},
	}
	if o.Nonce != nil {
		data.Extensions = append(data.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, Value: must(asn1.Marshal(o.Nonce))})
	}
	if o.CriticalExtension != nil {
		data.Extensions = append(data.Extensions, pkix.Extension{Id: o.CriticalExtension, Critical: true, Value: []byte{5, 0}})
	}
	tbs := must(asn1.Marshal(data))
	key, algorithm := signer.Key, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2} // ecdsa-with-SHA256
	switch k := key.(type) {
	case *rsa.PrivateKey:
		algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	case *ecdsa.PrivateKey:
		if k.Curve.Params().BitSize != 256 {
			tb.Fatal("testpki: OCSP: a signer with P-256 or RSA is needed")
		}
	}
	if o.SignatureByOtherThan {
		key = NewRoot(tb, "somebody else").Key
	}
	signature, err := signWith(key, crypto.SHA256, tbs)
	must(nil, err)
	if o.BreakSignature {
		signature[len(signature)-1] ^= 1
	}
	basic := ocspBasic{TBS: asn1.RawValue{FullBytes: tbs}, Algorithm: pkix.AlgorithmIdentifier{Algorithm: algorithm},
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}}
	for _, c := range o.Embedded {
		basic.Certificates = append(basic.Certificates, asn1.RawValue{FullBytes: c.X509.Raw})
	}
	var out ocspResponse
	out.Bytes.Type, out.Bytes.Response = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, must(asn1.Marshal(basic))
	return must(asn1.Marshal(out))
}

// id names the certificate.
func (o OCSP) id(tb testing.TB) ocspCertID {
	oids := map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1: {1, 3, 14, 3, 2, 26}, crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
		crypto.MD5: {1, 2, 840, 113549, 2, 5},
	}
	if o.Hash == 0 {
		o.Hash = crypto.SHA1
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(o.Issuer.X509.RawSubjectPublicKeyInfo, &spki); err != nil {
		tb.Fatal(err)
	}
	sum := func(b []byte) []byte {
		h := o.Hash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	return ocspCertID{pkix.AlgorithmIdentifier{Algorithm: oids[o.Hash], Parameters: asn1.NullRawValue}, sum(o.Issuer.X509.RawSubject), sum(spki.Key.RightAlign()), o.Serial}
}
