package est

import (
	"context"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign.dev/internal/traffic/respond"
)

var (
	oidECPublicKey     = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidP256            = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidChallenge       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	// By these a client asks for its key to be encrypted (RFC 7030 section 4.4.1).
	oidDecryptKey           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 37}
	oidAsymmetricDecryptKey = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 54}
)

// csrAttributes says what a signing request should look like (RFC 7030 section
// 4.5.2, RFC 9908 section 3): a key on P-256. Others are taken as well.
func (h Handler) csrAttributes(context.Context, *respond.Request) respond.Answer {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidECPublicKey)
			b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidP256) })
		})
		b.AddASN1ObjectIdentifier(oidECDSAWithSHA256)
	})
	der, err := b.Bytes()
	if err != nil {
		return failed(err)
	}
	return encoded("application/csrattrs", der)
}

// challenge is the challenge password in a signing request (RFC 2985 section
// 5.4.1); "" for none.
func challenge(csr []byte) (password string) {
	attributes(csr, func(oid asn1.ObjectIdentifier, values cryptobyte.String) {
		if !oid.Equal(oidChallenge) {
			return
		}
		var value cryptobyte.String
		var tag casn1.Tag
		if values.ReadAnyASN1(&value, &tag) && (tag == casn1.UTF8String || tag == casn1.PrintableString || tag == casn1.IA5String) {
			password = string(value)
		}
	})
	return password
}

// wantsEncryptedKey reports whether a signing request asks that a key that is made
// for it be encrypted.
func wantsEncryptedKey(csr []byte) (wants bool) {
	attributes(csr, func(oid asn1.ObjectIdentifier, _ cryptobyte.String) {
		wants = wants || oid.Equal(oidDecryptKey) || oid.Equal(oidAsymmetricDecryptKey)
	})
	return wants
}

// attributes calls each for the attributes of a signing request (RFC 2986 section
// 4.1). crypto/x509 drops those whose values are no sequences.
func attributes(csr []byte, each func(oid asn1.ObjectIdentifier, values cryptobyte.String)) {
	input := cryptobyte.String(csr)
	var request, info, all cryptobyte.String
	var there bool
	if !input.ReadASN1(&request, casn1.SEQUENCE) || !request.ReadASN1(&info, casn1.SEQUENCE) ||
		!info.SkipASN1(casn1.INTEGER) || !info.SkipASN1(casn1.SEQUENCE) || !info.SkipASN1(casn1.SEQUENCE) ||
		!info.ReadOptionalASN1(&all, &there, casn1.Tag(0).ContextSpecific().Constructed()) {
		return
	}
	for !all.Empty() {
		var attribute, values cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !all.ReadASN1(&attribute, casn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) || !attribute.ReadASN1(&values, casn1.SET) {
			return
		}
		each(oid, values)
	}
}
