package config

import (
	"fmt"
	"strconv"
	"strings"
)

// tlvNames are the fields of PROXY headers that can be passed on, beside those of
// a number: what others than we have to say of a connection.
var tlvNames = map[string]byte{
	"alpn":      0x01,
	"authority": 0x02,
	"unique_id": 0x05,
	"ssl":       0x20,
	"netns":     0x30,
	"gcp":       0xe0, // the id of a Private Service Connect connection
	"vpce":      0xea, // the id of an AWS VPC endpoint
	"azure":     0xee, // the link id of an Azure private endpoint
}

// A PassedTLV is the type of a field that is passed on.
type PassedTLV byte

// UnmarshalText reads a name, or a type from 0xE0 to 0xF7.
func (p *PassedTLV) UnmarshalText(text []byte) error {
	if n, named := tlvNames[string(text)]; named {
		*p = PassedTLV(n)
		return nil
	}
	n, ok := tlvNumber(string(text))
	if !ok || n < 0xe0 || n > 0xf7 {
		return fmt.Errorf("%q is no type that can be passed on", text)
	}
	*p = PassedTLV(n)
	return nil
}

// An OwnType is the type of a field that an application may give a meaning of its
// own.
type OwnType byte

// UnmarshalText reads a number from 0xE0 to 0xEF.
func (o *OwnType) UnmarshalText(text []byte) error {
	n, ok := tlvNumber(string(text))
	if !ok || n < 0xe0 || n > 0xef {
		return fmt.Errorf("%q is no type of an application's own", text)
	}
	*o = OwnType(n)
	return nil
}

// tlvNumber reads two hexadecimal digits behind 0x.
func tlvNumber(s string) (byte, bool) {
	digits, hex := strings.CutPrefix(strings.ToLower(s), "0x")
	n, err := strconv.ParseUint(digits, 16, 8)
	return byte(n), hex && err == nil && len(digits) == 2
}

// Passed are the types of the fields that are passed on.
func (p *ProxyProtocol) Passed() (types []byte) {
	for _, t := range p.PassTLVs {
		types = append(types, byte(t))
	}
	return types
}

// An OwnTLV is a field of a PROXY header that says what the configuration says.
type OwnTLV struct {
	// Type is a number from 0xE0 to 0xEF.
	Type OwnType `yaml:"type,required" want:"a type from 0xE0 to 0xEF"`

	// Value is text with placeholders, such as {subject}: those of
	// identity_headers that are not about a request.
	Value string `yaml:"value,required"`
}

func (a *Announcement) checkSet(c *checker, path string) {
	if a.Version == 1 && len(a.Set) > 0 && !c.doc.Refused(path+".version") {
		c.fault(path+".set", "set with version 1", "version 2", "leave it out: version 1 has the addresses alone")
		return
	}
	first := map[OwnType]int{}
	for i := range a.Set {
		at := fmt.Sprintf("%s.set[%d]", path, i)
		if c.doc.Refused(at + ".type") {
			continue
		}
		n := a.Set[i].Type
		if j, twice := first[n]; twice {
			c.fault(at+".type", fmt.Sprintf("%#x again", n), "each type once", fmt.Sprintf("it is set[%d] already", j))
			continue
		}
		first[n] = i
	}
}
