package issuance

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// A Profile says what a certificate may be used for.
type Profile string

// The profiles. Root, Issuing and Cross are authorities; the others are end entities.
const (
	Root      Profile = "root"      // self-signed; pathLenConstraint 1
	Issuing   Profile = "issuing"   // signs end entities alone; pathLenConstraint 0
	Cross     Profile = "cross"     // another root of the same name, so that it is self-issued; pathLenConstraint 1
	Device    Profile = "device"    // TLS client that is known by its common name
	Bootstrap Profile = "bootstrap" // TLS client: what all devices leave the factory with
	Client    Profile = "client"    // TLS client: a person, a partner, a service
	Server    Profile = "server"    // TLS server: needs a dns or ip name
	OCSP      Profile = "ocsp"      // answers in the place of its issuer (RFC 6960 section 4.2.2.2)
)

// ParseProfile reads the word for a profile of those that are asked for.
func ParseProfile(s string) (Profile, error) {
	switch p := Profile(s); p {
	case Device, Bootstrap, Client, Server:
		return p, nil
	}
	return "", fmt.Errorf("profile %q is unknown: expected device, bootstrap, client or server", s)
}

// IsCA tells whether certificates of this profile sign others.
func (p Profile) IsCA() bool { return p == Root || p == Issuing || p == Cross }

// KeepsKey tells whether the same subject may have another certificate of this
// profile for a key that it has one for. An authority's successor, and a responder,
// make a new one.
func (p Profile) KeepsKey() bool { return p != Issuing && p != OCSP }

// KeyUsage is what the key may do (RFC 5280 section 4.2.1.3). End entities
// sign in the handshake, whatever their key: TLS 1.3 knows no key transport.
func (p Profile) KeyUsage() x509.KeyUsage {
	if p.IsCA() {
		return x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	return x509.KeyUsageDigitalSignature
}

// ExtKeyUsage is the one purpose of an end entity (RFC 5280 section 4.2.1.12);
// authorities have none, which restricts nothing.
func (p Profile) ExtKeyUsage() []x509.ExtKeyUsage {
	switch p {
	case Device, Bootstrap, Client:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case Server:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case OCSP:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}
	return nil
}

// extra are the extensions that only this profile has. A responder's certificate
// is not to be asked about (id-pkix-ocsp-nocheck, RFC 6960 section 4.2.2.2.1):
// it lives as short as a revocation list.
func (p Profile) extra() []pkix.Extension {
	if p != OCSP {
		return nil
	}
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: asn1.NullBytes}}
}

func (p Profile) pathLen() int {
	if p == Root || p == Cross {
		return 1
	}
	return 0
}
