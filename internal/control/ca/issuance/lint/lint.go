package lint

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"
)

// A Case is a certificate with what it ought to be.
type Case struct {
	Certificate *x509.Certificate // as encoded; its signature is of no account
	Issuer      *x509.Certificate // nil: the certificate signs itself
	Now         time.Time
	Want        Want
}

// Want is what was asked for.
type Want struct {
	Subject     []byte // distinguished name in DER
	Names       int    // how many subject alternative names
	Wildcards   bool   // may DNS names have one
	PublicKey   crypto.PublicKey
	CA          bool
	MaxPathLen  int  // of a CA
	SelfIssued  bool // a CA of the same name, with another key
	KeyUsage    x509.KeyUsage
	ExtKeyUsage []x509.ExtKeyUsage // none: no such extension
	Locations   Locations
	Extra       []pkix.Extension // what else the profile has
}

// Locations are the URLs at which everybody learns about certificates of an
// issuer. Those that are empty are not in its certificates.
type Locations struct {
	CRL    string // its revocation list (RFC 5280 section 4.2.1.13)
	OCSP   string // its responder (section 4.2.2.1)
	Issuer string // its own certificate (section 4.2.2.1)
}

// A Rule finds one kind of fault.
type Rule struct {
	Name   string
	Clause string
	Check  func(Case) error // nil: nothing is wrong
}

// Rules lists every rule.
func Rules() []Rule {
	return []Rule{
		version, serial, validity, nesting, subject, issuerName, alternativeNames, key, keyIdentifiers,
		usage, purpose, authority, extensions, locations,
	}
}

// Check returns every fault, with the rule's clause.
func Check(c Case) []error {
	var faults []error
	for _, r := range Rules() {
		if err := r.Check(c); err != nil {
			faults = append(faults, fmt.Errorf("%w (%s)", err, r.Clause))
		}
	}
	return faults
}
