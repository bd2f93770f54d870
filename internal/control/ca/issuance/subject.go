package issuance

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Upper bounds of RFC 5280 appendix A.1 that the programs around us enforce:
// 64 characters in a CN, O or OU; and one of our own for the whole name.
const (
	maxValue   = 64
	maxSubject = 1024 // bytes of DER
)

var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOrgUnit      = asn1.ObjectIdentifier{2, 5, 4, 11}
)

// CheckSubject returns what is wrong with a distinguished name in DER. Besides
// its form it refuses what makes two readers see two identities: a second
// common name, characters that do not print (CVE-2025-66220 and its kin), values
// that are no strings.
func CheckSubject(der []byte) []error {
	if len(der) > maxSubject {
		return []error{fmt.Errorf("the subject has %d bytes: expected at most %d", len(der), maxSubject)}
	}
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &rdns); err != nil || len(rest) > 0 {
		return []error{fmt.Errorf("the subject is not a distinguished name in DER")}
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	commonNames := 0
	for _, rdn := range rdns {
		if len(rdn) == 0 {
			fault("the subject has an empty relative name (RFC 5280 section 4.1.2.4)")
		}
		for _, atv := range rdn {
			s, ok := atv.Value.(string)
			switch {
			case !ok:
				fault("the subject's attribute %s is not a string", atv.Type)
			case s == "":
				fault("the subject's attribute %s is empty", atv.Type)
			case !printable(s):
				fault("the subject's attribute %s has characters that do not print: %q", atv.Type, s)
			case short(atv.Type) && utf8.RuneCountInString(s) > maxValue:
				fault("the subject's attribute %s has %d characters: expected at most %d", atv.Type, utf8.RuneCountInString(s), maxValue)
			case atv.Type.Equal(oidCountry) && len(s) != 2:
				fault("the subject's country is %q: expected two letters", s)
			}
			if atv.Type.Equal(oidCommonName) {
				commonNames++
			}
		}
	}
	if commonNames > 1 {
		fault("the subject has %d common names: expected one, for backends differ in which they read", commonNames)
	}
	return faults
}

func short(oid asn1.ObjectIdentifier) bool {
	return oid.Equal(oidCommonName) || oid.Equal(oidOrganization) || oid.Equal(oidOrgUnit)
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}
