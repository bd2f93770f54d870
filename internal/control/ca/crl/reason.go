package crl

import (
	"errors"
	"fmt"
	"strings"
)

// A Reason is a CRLReason (RFC 5280 section 5.3.1), spelled as there.
type Reason string

// The reasons. certificateHold and removeFromCRL are missing on purpose:
// nothing here takes a revocation back.
const (
	Unspecified          Reason = "unspecified"
	KeyCompromise        Reason = "keyCompromise"
	CACompromise         Reason = "cACompromise"
	AffiliationChanged   Reason = "affiliationChanged"
	Superseded           Reason = "superseded"
	CessationOfOperation Reason = "cessationOfOperation"
	PrivilegeWithdrawn   Reason = "privilegeWithdrawn"
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{Unspecified, KeyCompromise, CACompromise, AffiliationChanged, Superseded, CessationOfOperation, PrivilegeWithdrawn}
}

// ParseReason reads a reason in any case.
func ParseReason(s string) (Reason, error) {
	var words []string
	for _, r := range Reasons() {
		if strings.EqualFold(s, string(r)) {
			return r, nil
		}
		words = append(words, string(r))
	}
	if strings.EqualFold(s, "certificateHold") {
		return "", errors.New("a certificate cannot be put on hold here: a revocation is for good")
	}
	return "", fmt.Errorf("reason %q is unknown: expected one of %s", s, strings.Join(words, ", "))
}

// Code is the value of the enumeration; that of Unspecified for what is no Reason.
func (r Reason) Code() int {
	code, _ := r.code()
	return code
}

// code is the value of the enumeration; false for what is no Reason.
func (r Reason) code() (int, bool) {
	switch r {
	case Unspecified:
		return 0, true
	case KeyCompromise:
		return 1, true
	case CACompromise:
		return 2, true
	case AffiliationChanged:
		return 3, true
	case Superseded:
		return 4, true
	case CessationOfOperation:
		return 5, true
	case PrivilegeWithdrawn:
		return 9, true
	}
	return 0, false
}

// ReasonOf returns the reason with that code; Unspecified for codes that are
// not used here.
func ReasonOf(code int) Reason {
	for _, r := range Reasons() {
		if c, _ := r.code(); c == code {
			return r
		}
	}
	return Unspecified
}
