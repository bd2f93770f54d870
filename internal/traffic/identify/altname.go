package identify

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/wire/san"
)

// alternativeNames reads leaf's subject alternative names into id.
func alternativeNames(leaf *x509.Certificate, id *countersign.Identity) error {
	names := san.Of(leaf)
	for kind, value, ok := names.Next(); ok; kind, value, ok = names.Next() {
		if err := alternativeName(id, kind, value); err != nil {
			return err
		}
	}
	return names.Err()
}

func alternativeName(id *countersign.Identity, kind san.Kind, value []byte) error {
	switch kind {
	case san.DNS:
		id.DNSNames = append(id.DNSNames, string(value))
		return plain(kind, value, `"\`)
	case san.URI:
		id.URIs = append(id.URIs, string(value))
		return plain(kind, value, ` "\<>`) // RFC 3986 has no place for these
	case san.Email:
		id.Emails = append(id.Emails, string(value))
		return plain(kind, value, "")
	case san.IP:
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
func plain(kind san.Kind, value []byte, not string) error {
	for _, c := range value {
		if c < 0x20 || c >= 0x7f || strings.IndexByte(not, c) >= 0 {
			return fmt.Errorf("%s %q contains byte %#02x, which cannot be part of one", kind, value, c)
		}
	}
	return nil
}
