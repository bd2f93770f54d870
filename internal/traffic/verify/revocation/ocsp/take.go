package ocsp

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var errMalformed = errors.New("it is not made as RFC 6960 section 4.2.1 says")

// take returns what golang.org/x/crypto/ocsp keeps to itself of a ResponseData
// that it has parsed: which certificates it is about, and its extensions.
func take(der []byte) (ids []certID, extensions []pkix.Extension, err error) {
	input := cryptobyte.String(der)
	var data, responses, skipped cryptobyte.String
	tag := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).Constructed().ContextSpecific() }
	if !input.ReadASN1(&data, cbasn1.SEQUENCE) || !input.Empty() ||
		!data.SkipOptionalASN1(tag(0)) || // version
		!data.ReadAnyASN1(&skipped, new(cbasn1.Tag)) || // responderID
		!data.SkipASN1(cbasn1.GeneralizedTime) ||
		!data.ReadASN1(&responses, cbasn1.SEQUENCE) {
		return nil, nil, errMalformed
	}
	for !responses.Empty() {
		var one, id, algorithm, name, key cryptobyte.String
		var oid asn1.ObjectIdentifier
		serial := new(big.Int)
		if !responses.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1(&id, cbasn1.SEQUENCE) ||
			!id.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
			!id.ReadASN1(&name, cbasn1.OCTET_STRING) || !id.ReadASN1(&key, cbasn1.OCTET_STRING) || !id.ReadASN1Integer(serial) {
			return nil, nil, errMalformed
		}
		ids = append(ids, certID{Hash: pkix.AlgorithmIdentifier{Algorithm: oid}, NameHash: name, KeyHash: key, Serial: serial})
	}
	if data.Empty() {
		return ids, nil, nil
	}
	var outer cryptobyte.String
	if !data.ReadASN1(&outer, tag(1)) || !data.Empty() {
		return nil, nil, errMalformed
	}
	if rest, err := asn1.Unmarshal(outer, &extensions); err != nil || len(rest) > 0 {
		return nil, nil, errMalformed
	}
	return ids, extensions, nil
}
