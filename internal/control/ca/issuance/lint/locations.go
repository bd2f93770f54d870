package lint

import (
	"errors"
	"slices"
)

// Plain http: who is to check a certificate cannot be asked to check another
// one first.
var locations = Rule{"locations", "RFC 5280 sections 4.2.1.13, 4.2.2.1, 8", func(c Case) error {
	x, at := c.Certificate, c.Want.Locations
	one := func(got []string, want string) bool {
		if want == "" {
			return len(got) == 0
		}
		return slices.Equal(got, []string{want})
	}
	if !one(x.CRLDistributionPoints, at.CRL) || !one(x.OCSPServer, at.OCSP) || !one(x.IssuingCertificateURL, at.Issuer) {
		return errors.New("the places of revocation list, responder and issuer are not the authority's")
	}
	return nil
}}
