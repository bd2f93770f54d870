package condition

import (
	"encoding/asn1"
	"slices"

	"countersign.dev/internal/traffic/route/pattern"
)

// A Client is a condition on who asks. What a certificate says counts only if it was
// verified: else it is the client's own claim.
type Client struct {
	Verified *bool // nil: either
	// SubjectCN: of several common names each must match, because another reader may
	// see another one. Of the others one is enough.
	SubjectCN, SubjectOU, SANDNS, SANURI []*pattern.Pattern
	// IssuerCN is a common name of the authority that issued the certificate.
	IssuerCN    []*pattern.Pattern
	Fingerprint [][32]byte // SHA-256 of the certificate
	// DeviceState is of the client's device: devices.Standing.Word.
	DeviceState []string
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// certified reports whether c is about what a certificate says.
func (c *Client) certified() bool {
	return len(c.SubjectCN)+len(c.SubjectOU)+len(c.SANDNS)+len(c.SANURI)+len(c.IssuerCN)+len(c.Fingerprint) > 0
}

// unmet names the part of c that q does not meet, "" if it does.
func (c *Client) unmet(q *Question) string {
	verified := q.Client.Verified()
	switch {
	case c.Verified != nil && *c.Verified != verified:
		return "verified"
	case len(c.DeviceState) > 0 && !slices.Contains(c.DeviceState, q.Device.Word()):
		return "device_state"
	case !c.certified():
		return ""
	case !verified:
		return "verified"
	}
	id := q.Client.Identity()
	switch {
	case len(c.Fingerprint) > 0 && !slices.Contains(c.Fingerprint, id.Fingerprint):
		return "fingerprint"
	case len(c.SubjectCN) > 0 && !everyOf(c.SubjectCN, id.CommonNames):
		return "subject_cn"
	case len(c.SubjectOU) > 0 && !anyOf(c.SubjectOU, id.OrganizationalUnits):
		return "subject_ou"
	case len(c.SANDNS) > 0 && !anyOf(c.SANDNS, id.DNSNames):
		return "san_dns"
	case len(c.SANURI) > 0 && !anyOf(c.SANURI, id.URIs):
		return "san_uri"
	case len(c.IssuerCN) > 0 && !c.issued(q):
		return "issuer_cn"
	}
	return ""
}

// issued reports whether the certificate's issuer has a name that c wants: every
// common name that it has.
func (c *Client) issued(q *Question) bool {
	issuer := q.Client.Chain().Issuer()
	if issuer == nil {
		return false
	}
	found := false
	for i := range issuer.Subject.Names {
		if a := &issuer.Subject.Names[i]; a.Type.Equal(oidCommonName) {
			text, ok := a.Value.(string)
			if !ok || !takes(c.IssuerCN, text) {
				return false
			}
			found = true
		}
	}
	return found
}

func everyOf(patterns []*pattern.Pattern, values []string) bool {
	for _, v := range values {
		if !takes(patterns, v) {
			return false
		}
	}
	return len(values) > 0
}

func anyOf(patterns []*pattern.Pattern, values []string) bool {
	for _, v := range values {
		if takes(patterns, v) {
			return true
		}
	}
	return false
}

func takes(patterns []*pattern.Pattern, text string) bool {
	for _, p := range patterns {
		if p.MatchString(text) {
			return true
		}
	}
	return false
}
