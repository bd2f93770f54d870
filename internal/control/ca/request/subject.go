package request

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// attributes that a subject may be written with: RFC 4514 section 3, and the
// three that OpenSSL's users know besides.
var attributes = map[string]attribute{
	"CN":           {oid: asn1.ObjectIdentifier{2, 5, 4, 3}},
	"SERIALNUMBER": {oid: asn1.ObjectIdentifier{2, 5, 4, 5}},
	"C":            {oid: asn1.ObjectIdentifier{2, 5, 4, 6}},
	"L":            {oid: asn1.ObjectIdentifier{2, 5, 4, 7}},
	"ST":           {oid: asn1.ObjectIdentifier{2, 5, 4, 8}},
	"STREET":       {oid: asn1.ObjectIdentifier{2, 5, 4, 9}},
	"O":            {oid: asn1.ObjectIdentifier{2, 5, 4, 10}},
	"OU":           {oid: asn1.ObjectIdentifier{2, 5, 4, 11}},
	"TITLE":        {oid: asn1.ObjectIdentifier{2, 5, 4, 12}},
	"UID":          {oid: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}},
	"DC":           {oid: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, ia5: true},
	"EMAILADDRESS": {oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, ia5: true},
}

type attribute struct {
	oid asn1.ObjectIdentifier
	ia5 bool // IA5String: RFC 4519 section 2.4, RFC 2985 section 5.2.1
}

// CommonName returns the DER of a subject that is a common name and no more.
func CommonName(name string) ([]byte, error) {
	return asn1.Marshal(pkix.RDNSequence{{{Type: attributes["CN"].oid, Value: name}}})
}

// ParseSubject reads a distinguished name as RFC 4514 writes it, the most
// specific part first ("CN=gate 7,OU=ops,O=Example"), and returns its DER.
// A comma, plus sign or quote within a value is escaped with a backslash.
func ParseSubject(text string) ([]byte, error) {
	der, err := parseSubject(text)
	if err != nil {
		return nil, fmt.Errorf("subject %q: %w", text, err)
	}
	return der, nil
}

func parseSubject(text string) ([]byte, error) {
	if strings.HasPrefix(text, "/") {
		return nil, errors.New("this is OpenSSL's old form: write it with commas, the most specific part first, as in CN=gate 7,OU=ops,O=Example")
	}
	var sequence pkix.RDNSequence
	var set pkix.RelativeDistinguishedNameSET
	for rest, end := text, byte(','); ; {
		var atv pkix.AttributeTypeAndValue
		var err error
		if atv, rest, end, err = parseAttribute(rest); err != nil {
			return nil, err
		}
		set = append(set, atv)
		if end != '+' {
			sequence = append(sequence, set)
			set = nil
		}
		if end == 0 {
			break
		}
	}
	// RFC 4514 section 2.1: the text begins with the last element.
	slices.Reverse(sequence)
	return asn1.Marshal(sequence)
}

// parseAttribute reads NAME=VALUE up to a separator: ',' or '+', 0 at the end.
func parseAttribute(s string) (atv pkix.AttributeTypeAndValue, rest string, end byte, err error) {
	name, s, ok := strings.Cut(s, "=")
	name = strings.TrimSpace(name)
	if !ok {
		return atv, "", 0, fmt.Errorf("%q has no '=': expected NAME=VALUE, a comma within a value as \\,", name)
	}
	a, known := attributes[strings.ToUpper(name)]
	if !known {
		if a.oid, err = parseOID(name); err != nil {
			return atv, "", 0, fmt.Errorf("%q is no attribute: expected CN, O, OU, C, ST, L, STREET, DC, UID, TITLE, serialNumber, emailAddress or a dotted OID", name)
		}
	}
	value, rest, end, err := parseValue(s)
	if err == nil && value == "" {
		err = errors.New("empty")
	}
	if err != nil {
		return atv, "", 0, fmt.Errorf("value of %s: %w", name, err)
	}
	atv.Type, atv.Value = a.oid, value
	if a.ia5 {
		atv.Value = asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(value)}
		if strings.ContainsFunc(value, func(r rune) bool { return r > '~' }) {
			return atv, "", 0, fmt.Errorf("value of %s: %q is not ASCII", name, value)
		}
	}
	return atv, rest, end, nil
}

// parseValue reads up to an unescaped separator, without the spaces around the
// value, which count only when escaped (RFC 4514 section 2.4).
func parseValue(s string) (value, rest string, end byte, err error) {
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, "#") {
		return "", "", 0, errors.New("the #hex form is not taken: write the text")
	}
	var b strings.Builder
	kept := 0 // length up to the last character that is not a bare space
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ',', '+':
			return b.String()[:kept], s[i+1:], c, nil
		case '"', ';', '<', '>', 0:
			return "", "", 0, fmt.Errorf("%q must be escaped with a backslash", c)
		case '\\':
			i++
			if i == len(s) {
				return "", "", 0, errors.New("ends in a lone backslash")
			}
			if strings.IndexByte(` "#+,;<=>\`, s[i]) >= 0 {
				b.WriteByte(s[i])
			} else if pair, err := hex.DecodeString(s[i:min(i+2, len(s))]); err == nil && len(pair) == 1 {
				b.WriteByte(pair[0])
				i++
			} else {
				return "", "", 0, fmt.Errorf("\\%c is no escape (RFC 4514 section 3)", s[i])
			}
			kept = b.Len()
		default:
			b.WriteByte(c)
			if c != ' ' {
				kept = b.Len()
			}
		}
	}
	return b.String()[:kept], "", 0, nil
}

func parseOID(s string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, err
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 2 || oid[0] > 2 || oid[0] < 2 && oid[1] > 39 {
		return nil, errors.New("not an object identifier")
	}
	return oid, nil
}
