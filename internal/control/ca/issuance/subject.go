package issuance

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
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

// emptyName is a distinguished name without anything in it, in DER.
const emptyName = "\x30\x00"

// checkSubject returns whether a distinguished name in DER has a common name,
// with everything that is wrong with it. Besides its form it refuses what makes two readers see two identities: a second
// common name, characters that do not print (CVE-2025-66220 and its kin), values
// that are no strings.
func checkSubject(der []byte) (commonName bool, faults []error) {
	if len(der) == 0 {
		return false, nil
	}
	if len(der) > maxSubject {
		return false, []error{fmt.Errorf("the subject has %d bytes: expected at most %d", len(der), maxSubject)}
	}
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &rdns); err != nil || len(rest) > 0 {
		return false, []error{errors.New("the subject is not a distinguished name in DER")}
	}
	commonNames := 0
	for _, rdn := range rdns {
		if len(rdn) == 0 {
			faults = append(faults, errors.New("the subject has an empty relative name (RFC 5280 section 4.1.2.4)"))
		}
		for _, atv := range rdn {
			if why := valueFault(atv); why != "" {
				faults = append(faults, fmt.Errorf("the subject's attribute %s %s", atv.Type, why))
			}
			if atv.Type.Equal(oidCommonName) {
				commonNames++
			}
		}
	}
	if commonNames > 1 {
		faults = append(faults, fmt.Errorf("the subject has %d common names: expected one, for backends differ in which they read", commonNames))
	}
	return commonNames > 0, faults
}

func valueFault(atv pkix.AttributeTypeAndValue) string {
	s, ok := atv.Value.(string)
	switch n := utf8.RuneCountInString(s); {
	case !ok:
		return "is not a string"
	case s == "":
		return "is empty"
	case !printable(s):
		return fmt.Sprintf("has characters that do not print: %q", s)
	case short(atv.Type) && n > maxValue:
		return fmt.Sprintf("has %d characters: expected at most %d", n, maxValue)
	case atv.Type.Equal(oidCountry) && len(s) != 2:
		return fmt.Sprintf("is %q: expected the two letters of a country", s)
	}
	return ""
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
