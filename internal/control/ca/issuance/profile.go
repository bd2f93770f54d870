package issuance

import (
	"crypto/x509"
	"fmt"
)

// A Profile says what a certificate may be used for.
type Profile string

// The profiles. Root and Issuing are authorities; the others are end entities.
const (
	Root    Profile = "root"    // self-signed; pathLenConstraint 1
	Issuing Profile = "issuing" // signs end entities alone; pathLenConstraint 0
	Device  Profile = "device"  // TLS client that is known by its common name
	Client  Profile = "client"  // TLS client: a person, a partner, a service
	Server  Profile = "server"  // TLS server: needs a dns or ip name
)

// ParseProfile reads the word for an end-entity profile.
func ParseProfile(s string) (Profile, error) {
	switch p := Profile(s); p {
	case Device, Client, Server:
		return p, nil
	}
	return "", fmt.Errorf("profile %q is unknown: expected device, client or server", s)
}

// IsCA tells whether certificates of this profile sign others.
func (p Profile) IsCA() bool { return p == Root || p == Issuing }

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
	case Device, Client:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case Server:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return nil
}

func (p Profile) pathLen() int {
	if p == Root {
		return 1
	}
	return 0
}
