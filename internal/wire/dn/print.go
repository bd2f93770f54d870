package dn

import (
	_ "embed"
	"fmt"
	"math/big"
	"strings"
	"sync"
)

// String parses the DER of an RDNSequence and returns Name.String.
func String(derRDNSequence []byte) (string, error) {
	n, err := Parse(derRDNSequence)
	if err != nil {
		return "", err
	}
	return n.String(), nil
}

// String returns n as OpenSSL 3.0's XN_FLAG_RFC2253 prints it: the last RDN of
// the encoding first, "+" within an RDN, OpenSSL's short names. The result is
// printable ASCII: controls and all bytes >= 0x80 of the UTF-8 form are \HH.
func (n Name) String() string {
	var b []byte
	for i := len(n.attributes) - 1; i >= 0; i-- {
		a := &n.attributes[i]
		if i < len(n.attributes)-1 {
			if a.rdn == n.attributes[i+1].rdn {
				b = append(b, '+')
			} else {
				b = append(b, ',')
			}
		}
		name, known := shortNames()[a.oid]
		if !known {
			name = a.oid
		}
		b = append(b, name...)
		b = append(b, '=')
		// XN_FLAG_DUMP_UNKNOWN_FIELDS and ASN1_STRFLGS_DUMP_UNKNOWN, both with
		// ASN1_STRFLGS_DUMP_DER: RFC 2253 section 2.4, "#" and the hex of the DER.
		if text, ok := a.text(); ok && known {
			b = appendEscaped(b, text)
		} else {
			b = fmt.Appendf(b, "#%X", a.raw)
		}
	}
	return string(b)
}

const upperHex = "0123456789ABCDEF"

// appendEscaped appends s with OpenSSL's ASN1_STRFLGS_ESC_2253, _CTRL and _MSB.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		// OpenSSL looks at a character that is first and last as the last one
		// only: a lone "#" stays bare.
		first, last := i == 0 && len(s) > 1, i == len(s)-1
		switch {
		case c < 0x20 || c >= 0x7f:
			b = append(b, '\\', upperHex[c>>4], upperHex[c&15])
		case strings.IndexByte(`,+"\<>;`, c) >= 0, c == ' ' && (first || last), c == '#' && first:
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return b
}

// Serial returns a certificate's serial number as `openssl x509 -serial` prints
// it: upper-case hex, an even number of digits, "-" before a negative one, 00 for
// zero. OpenSSL breaks the line every 35 bytes, this never does; RFC 5280
// section 4.1.2.2 allows 20 bytes.
func Serial(n *big.Int) string {
	octets := n.Bytes()
	if len(octets) == 0 {
		return "00"
	}
	b := make([]byte, 0, 1+2*len(octets))
	if n.Sign() < 0 {
		b = append(b, '-')
	}
	for _, o := range octets {
		b = append(b, upperHex[o>>4], upperHex[o&15])
	}
	return string(b)
}

// objects.txt is every object identifier that OpenSSL 3.0 has a short name for,
// one "OID NAME" a line. OpenSSL takes any of them for an attribute type.
//
//go:embed objects.txt
var objects string

var shortNames = sync.OnceValue(func() map[string]string {
	names := make(map[string]string, strings.Count(objects, "\n"))
	for line := range strings.Lines(objects) {
		oid, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		names[oid] = name
	}
	return names
})

// label names an attribute type for an error message.
func label(oid string) string {
	if name, ok := shortNames()[oid]; ok {
		return name
	}
	return oid
}
