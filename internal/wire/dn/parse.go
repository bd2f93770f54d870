package dn

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers for Values.
const (
	CommonName         = "2.5.4.3"
	OrganizationalUnit = "2.5.4.11"
)

// maxSize is more than fits into a TLS certificate message of 64 KiB.
const maxSize = 64 << 10

// maxOID is the longest dotted object identifier: OpenSSL prints into 80 bytes
// and cuts off the rest, which would make different names look alike.
const maxOID = 79

// A Name is a parsed Name (RFC 5280 section 4.1.2.4). It refers to the bytes it
// was parsed from. The zero value is the empty name.
type Name struct {
	attributes []attribute // in the order of the encoding
}

type attribute struct {
	rdn   int    // index of the RelativeDistinguishedName that holds it
	oid   string // dotted
	tag   asn1.Tag
	value []byte // content octets
	raw   []byte // the whole value: tag, length, content
}

// Parse parses the DER of an RDNSequence. It fails for what OpenSSL 3.0 does not
// load as a name: values of other types than the DirectoryString ones, IA5String,
// NumericString, BIT STRING, SEQUENCE; text that is not valid in its own encoding.
// Stricter than OpenSSL, it takes DER alone, no empty RDN, no object identifier
// with a number of more than 63 bits or longer than 79 characters.
func Parse(der []byte) (Name, error) {
	if len(der) > maxSize {
		return Name{}, fmt.Errorf("distinguished name of %d bytes: at most %d are accepted", len(der), maxSize)
	}
	in := cryptobyte.String(der)
	var rdns cryptobyte.String
	if !in.ReadASN1(&rdns, asn1.SEQUENCE) || !in.Empty() {
		return Name{}, errors.New("distinguished name is not one DER SEQUENCE")
	}
	var n Name
	for i := 0; !rdns.Empty(); i++ {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, asn1.SET) || set.Empty() {
			return Name{}, fmt.Errorf("distinguished name: RDN %d is not a SET of one attribute or more", i+1)
		}
		for !set.Empty() {
			a, err := readAttribute(&set)
			if err != nil {
				return Name{}, fmt.Errorf("distinguished name: RDN %d: %w", i+1, err)
			}
			a.rdn = i
			n.attributes = append(n.attributes, a)
		}
	}
	return n, nil
}

func readAttribute(set *cryptobyte.String) (attribute, error) {
	var pair, oid, raw cryptobyte.String
	var a attribute
	if !set.ReadASN1(&pair, asn1.SEQUENCE) || !pair.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
		!pair.ReadAnyASN1Element(&raw, &a.tag) || !pair.Empty() {
		return a, errors.New("not an attribute type with one value")
	}
	var err error
	if a.oid, err = dotted(oid); err != nil {
		return a, err
	}
	a.raw = raw
	if !raw.ReadAnyASN1((*cryptobyte.String)(&a.value), &a.tag) {
		return a, fmt.Errorf("attribute %s: bad value", a.oid)
	}
	if err := check(a.tag, a.value); err != nil {
		return a, fmt.Errorf("attribute %s: %w", a.oid, err)
	}
	return a, nil
}

// dotted returns the decimal form of the content octets of an OBJECT IDENTIFIER
// (X.690 section 8.19).
func dotted(content []byte) (string, error) {
	var b strings.Builder
	var n uint64
	inside := false // within a number
	for _, c := range content {
		if !inside && c == 0x80 {
			return "", fmt.Errorf("object identifier %X has a padded number", content)
		}
		if n > math.MaxInt64>>7 {
			return "", fmt.Errorf("object identifier %X has a number of more than 63 bits", content)
		}
		n = n<<7 | uint64(c&0x7f)
		if inside = c&0x80 != 0; inside {
			continue
		}
		if b.Len() == 0 {
			first := min(n/40, 2)
			b.WriteString(strconv.FormatUint(first, 10))
			n -= first * 40
		}
		b.WriteByte('.')
		b.WriteString(strconv.FormatUint(n, 10))
		n = 0
	}
	if inside || b.Len() == 0 {
		return "", fmt.Errorf("object identifier %X is cut off", content)
	}
	if b.Len() > maxOID {
		return "", fmt.Errorf("object identifier of %d characters: at most %d are accepted", b.Len(), maxOID)
	}
	return b.String(), nil
}
