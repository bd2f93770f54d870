package san

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// OID is id-ce-subjectAltName.
var OID = asn1.ObjectIdentifier{2, 5, 29, 17}

// A Kind is the kind of a GeneralName: the number of its tag.
type Kind uint8

// The kinds, in the order of RFC 5280.
const (
	OtherName Kind = iota
	Email
	DNS
	X400Address
	DirectoryName
	EDIPartyName
	URI
	IP
	RegisteredID
)

var kinds = [...]string{"otherName", "e-mail address", "DNS name", "X.400 address", "directory name", "EDI party name", "URI", "IP address", "registered ID"}

// String names the kind in messages.
func (k Kind) String() string { return kinds[k] }

// constructed kinds hold further elements, the others are strings.
func (k Kind) constructed() bool {
	return k == OtherName || k == X400Address || k == DirectoryName || k == EDIPartyName
}

// Names reads one name after the other, without allocating. The zero value has none.
type Names struct {
	rest  cryptobyte.String
	fault fault
	tag   uint8 // of the name at fault
}

type fault uint8

const (
	none fault = iota
	noSequence
	noList
	unknownTag
	wrongForm
)

// Of returns the names of a certificate: none if it has no such extension, which
// crypto/x509 allows once.
func Of(c *x509.Certificate) Names {
	for i := range c.Extensions {
		if c.Extensions[i].Id.Equal(OID) {
			return Parse(c.Extensions[i].Value)
		}
	}
	return Names{}
}

// Parse returns the names in the value of the extension.
func Parse(der []byte) Names {
	in := cryptobyte.String(der)
	var n Names
	if !in.ReadASN1(&n.rest, cbasn1.SEQUENCE) || !in.Empty() {
		return Names{fault: noSequence}
	}
	return n
}

// Next returns the next name: of a string its bytes, of other kinds the DER
// inside the tag. ok is false after the last one, and where the rest cannot be
// read, which Err tells apart. value is part of what was parsed.
func (n *Names) Next() (kind Kind, value []byte, ok bool) {
	if n.fault != none || n.rest.Empty() {
		return 0, nil, false
	}
	var content cryptobyte.String
	var tag cbasn1.Tag
	if !n.rest.ReadAnyASN1(&content, &tag) {
		n.fault = noList
		return 0, nil, false
	}
	const class, constructed = 0xc0, 0x20
	kind, n.tag = Kind(tag&0x1f), uint8(tag)
	switch {
	case tag&class != 0x80 || kind > RegisteredID:
		n.fault = unknownTag
	case (tag&constructed != 0) != kind.constructed():
		n.fault = wrongForm
	}
	return kind, content, n.fault == none
}

// Err says why Next ended before the last name; nil if it did not.
func (n *Names) Err() error {
	switch n.fault {
	case noSequence:
		return errors.New("the extension is not one DER SEQUENCE")
	case noList:
		return errors.New("the extension is not a list of names")
	case unknownTag:
		return fmt.Errorf("a name has the tag %#02x, which no kind of name has", n.tag)
	case wrongForm:
		return fmt.Errorf("a name of kind %s has the tag %#02x, which is not DER", Kind(n.tag&0x1f), n.tag)
	}
	return nil
}
