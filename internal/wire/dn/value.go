package dn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte/asn1"
)

// Universal tags that cryptobyte has no name for.
const (
	tagNumericString   asn1.Tag = 18
	tagUniversalString asn1.Tag = 28
	tagBMPString       asn1.Tag = 30
)

// check reports why a value of that type cannot stand in a name.
func check(tag asn1.Tag, v []byte) error {
	switch tag {
	case asn1.UTF8String:
		if !utf8.Valid(v) {
			return errors.New("UTF8String is not valid UTF-8")
		}
	case tagBMPString, tagUniversalString:
		_, err := decodeWide(tag, v)
		return err
	case asn1.PrintableString, asn1.T61String, asn1.IA5String, tagNumericString, asn1.SEQUENCE:
	case asn1.BIT_STRING:
		if len(v) == 0 || v[0] > 7 || len(v) == 1 && v[0] != 0 || v[len(v)-1]&(1<<v[0]-1) != 0 && len(v) > 1 {
			return errors.New("BIT STRING is not DER")
		}
	default:
		return fmt.Errorf("a value with ASN.1 tag %#02x cannot be part of a name", uint8(tag))
	}
	return nil
}

// decodeWide decodes a BMPString (two bytes a character) or a UniversalString
// (four) to UTF-8. Surrogates are no characters, in either.
func decodeWide(tag asn1.Tag, v []byte) (string, error) {
	width, name := 2, "BMPString"
	if tag == tagUniversalString {
		width, name = 4, "UniversalString"
	}
	if len(v)%width != 0 {
		return "", fmt.Errorf("%s of %d bytes: want a multiple of %d", name, len(v), width)
	}
	var b strings.Builder
	for ; len(v) > 0; v = v[width:] {
		c := uint32(binary.BigEndian.Uint16(v))
		if width == 4 {
			c = binary.BigEndian.Uint32(v)
		}
		if c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
			return "", fmt.Errorf("%s holds %X, which is no character", name, c)
		}
		b.WriteRune(rune(c))
	}
	return b.String(), nil
}

// text returns a's value as UTF-8 the way OpenSSL reads it: one-byte types as
// Latin-1, whatever they ought to hold. It is false for types that are no text.
func (a *attribute) text() (string, bool) {
	switch a.tag {
	case asn1.UTF8String:
		return string(a.value), true
	case tagBMPString, tagUniversalString:
		s, err := decodeWide(a.tag, a.value)
		return s, err == nil
	case asn1.PrintableString, asn1.T61String, asn1.IA5String, tagNumericString:
		var b strings.Builder
		for _, c := range a.value {
			b.WriteRune(rune(c))
		}
		return b.String(), true
	}
	return "", false
}

// Values returns the values of the attribute with that object identifier (dotted)
// as UTF-8, in the order of the encoding. For use in decisions, so it fails where
// two readers could see two values: a NUL ("admin\x00.attacker" is "admin" to a C
// program), a byte >= 0x80 in an ASCII type, a type that is no text.
func (n Name) Values(oid string) ([]string, error) {
	var out []string
	for i := range n.attributes {
		a := &n.attributes[i]
		if a.oid != oid {
			continue
		}
		s, ok := a.text()
		if !ok {
			return nil, fmt.Errorf("%s is not text but ASN.1 tag %#02x", label(oid), uint8(a.tag))
		}
		if strings.ContainsRune(s, 0) {
			return nil, fmt.Errorf("%s %q contains a NUL", label(oid), s)
		}
		if a.tag == asn1.PrintableString || a.tag == asn1.IA5String || a.tag == tagNumericString {
			for _, c := range a.value {
				if c >= utf8.RuneSelf {
					return nil, fmt.Errorf("%s %q contains byte %#02x, which its ASCII type cannot hold", label(oid), a.value, c)
				}
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// Values parses the DER of an RDNSequence and returns Name.Values.
func Values(der []byte, oid string) ([]string, error) {
	n, err := Parse(der)
	if err != nil {
		return nil, err
	}
	return n.Values(oid)
}
