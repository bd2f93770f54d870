package lint

import "errors"

// A certificate that outlives its issuer promises what nobody can keep: its
// revocation list could not be signed any more.
var nesting = Rule{"nesting", "RFC 5280 section 6.1.3 (a)(2)", func(c Case) error {
	if i := c.Issuer; i != nil && (c.Certificate.NotBefore.Before(i.NotBefore) || c.Certificate.NotAfter.After(i.NotAfter)) {
		return errors.New("its validity is not within the authority's")
	}
	return nil
}}
