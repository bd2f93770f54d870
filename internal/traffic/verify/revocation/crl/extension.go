package crl

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// mostExtensions bounds those of one entry or list.
const mostExtensions = 64

// mostNumber is the longest CRL number taken, in octets; RFC 5280 section 5.2.3
// allows 20.
const mostNumber = 64

func (p *parser) extensions(end int64) error {
	if p.version == 0 {
		return errors.New("it has extensions but is a version 1 list")
	}
	element, err := p.w.element("its extensions", end)
	if err != nil {
		return err
	}
	outer := cryptobyte.String(element)
	var content, list cryptobyte.String
	if !outer.ReadASN1(&content, cbasn1.Tag(0).ContextSpecific().Constructed()) ||
		!content.ReadASN1(&list, cbasn1.SEQUENCE) || !content.Empty() {
		return errMalformed
	}
	return eachExtension(list, p.extension)
}

// extension takes one crlExtension (RFC 5280 section 5.2).
func (p *parser) extension(oid string, critical bool, value cryptobyte.String) error {
	l := p.list
	switch oid {
	case "\x55\x1d\x23": // authority key identifier
		var id cryptobyte.String
		var present bool
		if !value.ReadASN1(&value, cbasn1.SEQUENCE) || !value.ReadOptionalASN1(&id, &present, cbasn1.Tag(0).ContextSpecific()) {
			return errors.New("its authority key identifier is malformed")
		}
		if present {
			l.AuthorityKeyID = bytes.Clone(id)
		}
	case "\x55\x1d\x14": // CRL number
		var ok bool
		if l.Number, ok = readNumber(value); !ok {
			return errors.New("its CRL number is malformed")
		}
	case "\x55\x1d\x1b": // delta CRL indicator
		var ok bool
		if l.Base, ok = readNumber(value); !ok {
			return errors.New("it is a delta list whose base number is malformed")
		}
	case "\x55\x1d\x1c": // issuing distribution point
		var err error
		l.scope, err = parseScope(value)
		return err
	default:
		if critical {
			return fmt.Errorf("it has the critical extension %s, which is not understood here, so it must not be used (RFC 5280 section 5.2)", oidText(oid))
		}
	}
	return nil
}

// readNumber reads a CRLNumber (RFC 5280 section 5.2.3).
func readNumber(value cryptobyte.String) (*big.Int, bool) {
	n := new(big.Int)
	ok := len(value) <= mostNumber+2 && value.ReadASN1Integer(n) && value.Empty() && n.Sign() >= 0
	return n, ok
}

// parseReason takes the extensions of an entry (RFC 5280 section 5.3).
func parseReason(extensions cryptobyte.String) (Reason, error) {
	reason := Reason(0)
	err := eachExtension(extensions, func(oid string, critical bool, value cryptobyte.String) error {
		switch oid {
		case "\x55\x1d\x15":
			var code int
			if !value.ReadASN1Enum(&code) || !value.Empty() || code < 0 || code > 10 || code == 7 {
				return errors.New("its reason code is malformed")
			}
			reason = Reason(code)
		case "\x55\x1d\x1d":
			return errors.New("it names a certificate of another issuer; indirect lists are not supported: supply a list from each issuer itself")
		default:
			if critical {
				return fmt.Errorf("it has the critical extension %s, which is not understood here, so the list must not be used (RFC 5280 section 5.3)", oidText(oid))
			}
		}
		return nil
	})
	return reason, err
}

// eachExtension calls f for every Extension of a SEQUENCE's content, with the
// content octets of its OBJECT IDENTIFIER, and refuses one that is there twice.
// A list has as many as entries: nothing is allocated.
func eachExtension(list cryptobyte.String, f func(oid string, critical bool, value cryptobyte.String) error) error {
	all := list
	for n := 0; !list.Empty(); n++ {
		if n == mostExtensions {
			return fmt.Errorf("it has more than %d extensions", mostExtensions)
		}
		oid, critical, value, ok := readExtension(&list)
		if !ok {
			return errMalformed
		}
		for before, i := all, 0; i < n; i++ {
			if other, _, _, _ := readExtension(&before); bytes.Equal(other, oid) {
				return fmt.Errorf("it has the extension %s twice", oidText(string(oid)))
			}
		}
		if err := f(known(oid), critical, value); err != nil {
			return err
		}
	}
	return nil
}

func readExtension(list *cryptobyte.String) (oid cryptobyte.String, critical bool, value cryptobyte.String, ok bool) {
	var extension cryptobyte.String
	ok = list.ReadASN1(&extension, cbasn1.SEQUENCE) && extension.ReadASN1(&oid, cbasn1.OBJECT_IDENTIFIER) &&
		(!extension.PeekASN1Tag(cbasn1.BOOLEAN) || extension.ReadASN1Boolean(&critical)) &&
		extension.ReadASN1(&value, cbasn1.OCTET_STRING) && extension.Empty()
	return oid, critical, value, ok
}

// known returns oid as a string; the one that is in most entries without allocating it.
func known(oid []byte) string {
	const reason = "\x55\x1d\x15"
	if string(oid) == reason {
		return reason
	}
	return string(oid)
}

// oidText returns the dotted form of an OBJECT IDENTIFIER's content.
func oidText(content string) string {
	element := cryptobyte.String("\x06" + string(rune(len(content)&0x7f)) + content)
	var oid asn1.ObjectIdentifier
	if len(content) > 0x7f || !element.ReadASN1ObjectIdentifier(&oid) {
		return fmt.Sprintf("#%X", content[:min(len(content), 64)])
	}
	return oid.String()
}
