package lint

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

var (
	oidSubjectKeyID      = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage          = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName    = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints  = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAuthorityKeyID    = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidAuthorityInfo     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}
)

// Each extension of the profile is there once, critical where the RFC wants it
// so (section 4.2.1.3, 4.2.1.6 with an empty subject, 4.2.1.9), and no other is.
var extensions = Rule{"extensions", "RFC 5280 section 4.2", func(c Case) error {
	expect := []pkix.Extension{
		{Id: oidKeyUsage, Critical: true},
		{Id: oidBasicConstraints, Critical: true},
		{Id: oidSubjectKeyID},
	}
	also := func(wanted bool, oid asn1.ObjectIdentifier, critical bool) {
		if wanted {
			expect = append(expect, pkix.Extension{Id: oid, Critical: critical})
		}
	}
	at := c.Want.Locations
	also(c.Issuer != nil, oidAuthorityKeyID, false)
	also(len(c.Want.ExtKeyUsage) > 0, oidExtKeyUsage, false)
	also(c.Want.Names > 0, oidSubjectAltName, len(c.Want.Subject) <= len(emptyName))
	also(at.CRL != "", oidDistributionPoint, false)
	also(at.OCSP != "" || at.Issuer != "", oidAuthorityInfo, false)
	expect = append(expect, c.Want.Extra...)

	var faults []error
	got := c.Certificate.Extensions
	for _, want := range expect {
		n := slices.IndexFunc(got, func(e pkix.Extension) bool { return e.Id.Equal(want.Id) })
		switch {
		case n < 0 || got[n].Critical != want.Critical:
			faults = append(faults, fmt.Errorf("the extension %s is missing, or critical=%t is not so", want.Id, want.Critical))
		case want.Value != nil && !bytes.Equal(got[n].Value, want.Value):
			faults = append(faults, fmt.Errorf("the extension %s has another value than the profile's", want.Id))
		}
	}
	if len(got) != len(expect) {
		faults = append(faults, fmt.Errorf("it has %d extensions: expected %d", len(got), len(expect)))
	}
	return errors.Join(faults...)
}}
