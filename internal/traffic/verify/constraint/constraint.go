package constraint

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign.dev/internal/wire/san"
)

var (
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidCommonName      = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidEmailAddress    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// Unknown says why the name constraints of a CA cannot be honored here, "" if
// they can, or if it has none.
func Unknown(ca *x509.Certificate) string {
	for i := range ca.Extensions {
		if ca.Extensions[i].Id.Equal(oidNameConstraints) {
			return unknown(ca.Extensions[i].Value)
		}
	}
	return ""
}

func unknown(der cryptobyte.String) string {
	const damaged = "its name constraints cannot be read"
	var all cryptobyte.String
	if !der.ReadASN1(&all, cbasn1.SEQUENCE) || !der.Empty() {
		return damaged
	}
	for !all.Empty() {
		var subtrees cryptobyte.String
		var side cbasn1.Tag
		if !all.ReadAnyASN1(&subtrees, &side) {
			return damaged
		}
		for !subtrees.Empty() {
			var subtree, base cryptobyte.String
			var tag cbasn1.Tag
			if !subtrees.ReadASN1(&subtree, cbasn1.SEQUENCE) || !subtree.ReadAnyASN1(&base, &tag) {
				return damaged
			}
			if kind := san.Kind(tag & 0x1f); tag&0xc0 != 0x80 || kind > san.RegisteredID {
				return damaged
			} else if !slices.Contains([]san.Kind{san.DNS, san.Email, san.URI, san.IP}, kind) {
				return fmt.Sprintf("its name constraints limit names of kind %s, which cannot be honored here; those of DNS names, e-mail addresses, URIs and IP addresses can", kind)
			}
			if !subtree.Empty() {
				return "its name constraints have a minimum or maximum, which RFC 5280 section 4.2.1.10 rules out"
			}
		}
	}
	return ""
}

// Kinds are the kinds of names in which a subject can claim more than its
// alternative names do.
type Kinds struct{ DNS, Email bool }

// Limited returns which of them the CAs limit.
func Limited(cas ...*x509.Certificate) (k Kinds) {
	for _, c := range cas {
		k.DNS = k.DNS || len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains) > 0
		k.Email = k.Email || len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses) > 0
	}
	return k
}

// Or is the union of both.
func (k Kinds) Or(o Kinds) Kinds { return Kinds{k.DNS || o.DNS, k.Email || o.Email} }

// Claim adds to the alternative names of c, as crypto/x509 will see them, what
// its subject claims besides: e-mail addresses, and of a leaf without DNS names
// each common name that looks like one. c must be a copy; the slices it shares
// with the original stay as they are.
func Claim(c *x509.Certificate, leaf bool, k Kinds) {
	if !leaf && bytes.Equal(c.RawSubject, c.RawIssuer) {
		return // constraints are not applied to self-issued CAs (RFC 5280 section 6.1.3 (b))
	}
	common := leaf && k.DNS && len(c.DNSNames) == 0
	claimed := false
	for i := range c.Subject.Names {
		a := &c.Subject.Names[i]
		text, ok := a.Value.(string)
		switch {
		case !ok:
		case k.Email && a.Type.Equal(oidEmailAddress):
			c.EmailAddresses, claimed = append(slices.Clip(c.EmailAddresses), text), true
		case common && a.Type.Equal(oidCommonName) && isDNSName(text):
			c.DNSNames, claimed = append(slices.Clip(c.DNSNames), text), true
		}
	}
	if claimed && !slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(san.OID) }) {
		c.Extensions = append(slices.Clip(c.Extensions), pkix.Extension{Id: san.OID}) // else crypto/x509 does not look
	}
}

// isDNSName is OpenSSL's idea of a common name that is a DNS name (cn2dnsid in
// x509/v3_ncons.c): labels of letters, digits, underscores and inner hyphens,
// with a dot at least.
func isDNSName(s string) bool {
	dots := 0
	for i := range len(s) {
		inside := i > 0 && i < len(s)-1
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		case c == '-' && inside:
		case c == '.' && inside && s[i-1] != '.' && s[i-1] != '-' && s[i+1] != '-':
			dots++
		default:
			return false
		}
	}
	return dots > 0
}
