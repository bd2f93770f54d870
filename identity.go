package countersign

import (
	"net/netip"
	"time"
)

// An Identity is what a client's leaf certificate says about it. It is a plain
// description: that it was verified is stated by the proof that carries it
// (internal/traffic/identify.Client), never by the description itself.
type Identity struct {
	// Subject and Issuer are distinguished names as
	// `openssl x509 -nameopt RFC2253` prints them (RFC 2253 section 2, every
	// byte >= 0x80 escaped as \HH): most specific RDN first, ASCII only.
	Subject string
	Issuer  string
	// Serial is upper-case hex with an even number of digits, "-" first when negative.
	Serial string
	// Fingerprint is the SHA-256 of the certificate's DER.
	Fingerprint [32]byte
	NotBefore   time.Time
	NotAfter    time.Time

	// CommonNames and OrganizationalUnits are the subject's values as UTF-8,
	// in the order of the encoding.
	CommonNames         []string
	OrganizationalUnits []string

	// Subject alternative names (RFC 5280 section 4.2.1.6), each in its own
	// type: a DNS name is never taken for a URI or the reverse.
	DNSNames []string
	URIs     []string
	Emails   []string
	IPs      []netip.Addr
}
