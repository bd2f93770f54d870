package identify

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"countersign.dev"
	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// Identifier octets of the kinds of GeneralName (RFC 5280 section 4.2.1.6) that
// name a client: [1], [2], [6], [7], all implicit strings.
const (
	tagEmail tag.Tag = 0x81
	tagDNS   tag.Tag = 0x82
	tagURI   tag.Tag = 0x86
	tagIP    tag.Tag = 0x87
)

// alternativeNames reads leaf's subject alternative names into id. The fields
// of x509.Certificate will not do: a url.URL no longer holds the certificate's
// own bytes, and two URIs that differ could be written alike.
func alternativeNames(leaf *x509.Certificate, id *countersign.Identity) error {
	for _, e := range leaf.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		in := cryptobyte.String(e.Value)
		var names cryptobyte.String
		if !in.ReadASN1(&names, tag.SEQUENCE) || !in.Empty() {
			return errors.New("the extension is not one DER SEQUENCE")
		}
		for !names.Empty() {
			var value cryptobyte.String
			var t tag.Tag
			if !names.ReadAnyASN1(&value, &t) {
				return errors.New("the extension is not a list of names")
			}
			if err := alternativeName(id, t, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func alternativeName(id *countersign.Identity, t tag.Tag, value []byte) error {
	switch t {
	case tagDNS:
		id.DNSNames = append(id.DNSNames, string(value))
		return plain("DNS name", value, `"\`)
	case tagURI:
		id.URIs = append(id.URIs, string(value))
		return plain("URI", value, ` "\<>`) // RFC 3986 has no place for these
	case tagEmail:
		id.Emails = append(id.Emails, string(value))
		return plain("e-mail address", value, "")
	case tagIP:
		ip, ok := netip.AddrFromSlice(value)
		if !ok {
			return fmt.Errorf("IP address of %d bytes: want 4 or 16", len(value))
		}
		id.IPs = append(id.IPs, ip)
	}
	// Other kinds (directory names, otherName ...) identify nobody here.
	return nil
}

// plain fails for a byte in value that is a control or no ASCII, or in not.
func plain(kind string, value []byte, not string) error {
	for _, c := range value {
		if c < 0x20 || c >= 0x7f || strings.IndexByte(not, c) >= 0 {
			return fmt.Errorf("%s %q contains byte %#02x, which cannot be part of one", kind, value, c)
		}
	}
	return nil
}
