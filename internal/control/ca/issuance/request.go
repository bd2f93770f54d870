package issuance

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"countersign.dev/internal/control/ca/altname"
	"countersign.dev/internal/control/ca/pubkey"
)

// A Request is what is to be certified.
type Request struct {
	Profile   Profile
	Subject   []byte // distinguished name in DER; empty: the names alone identify
	Names     altname.Names
	PublicKey crypto.PublicKey
	Lifetime  time.Duration // from now; shortened to the issuer's own end
}

// check returns what is wrong with the request itself, before anything is made of it.
func (r Request) check() []error {
	var faults []error
	if err := pubkey.Check(r.PublicKey); err != nil {
		faults = append(faults, err)
	}
	if r.Lifetime <= 0 {
		faults = append(faults, fmt.Errorf("the lifetime is %s: expected more than nothing", r.Lifetime))
	}
	commonName, subjectFaults := checkSubject(r.Subject)
	faults = append(faults, subjectFaults...)
	faults = append(faults, r.Names.Check(r.Profile == Server)...)
	switch r.Profile {
	case Root, Issuing, Cross, Device, Bootstrap, OCSP:
		if !commonName && len(subjectFaults) == 0 {
			faults = append(faults, fmt.Errorf("a %s certificate needs a common name in its subject", r.Profile))
		}
	case Client:
		if r.anonymous() && r.Names.Len() == 0 {
			faults = append(faults, errors.New("it would name nobody: expected a subject or an alternative name"))
		}
	case Server:
		if len(r.Names.DNS)+len(r.Names.IPs) == 0 {
			faults = append(faults, errors.New("a server certificate needs the name that its clients ask for: add --san dns:NAME or --san ip:ADDRESS"))
		}
	default:
		faults = append(faults, fmt.Errorf("the profile %q is unknown", r.Profile))
	}
	return faults
}

// anonymous tells that the subject has nothing in it.
func (r Request) anonymous() bool { return len(r.Subject) <= len(emptyName) }
