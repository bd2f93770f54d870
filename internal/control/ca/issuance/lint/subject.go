package lint

import (
	"bytes"
	"errors"
)

// emptyName is a distinguished name without anything in it, in DER.
const emptyName = "\x30\x00"

var subject = Rule{"subject", "RFC 5280 section 4.1.2.6", func(c Case) error {
	got, want := c.Certificate.RawSubject, c.Want.Subject
	if len(want) == 0 {
		want = []byte(emptyName)
	}
	switch {
	case !bytes.Equal(got, want):
		return errors.New("the subject is not the requested one")
	case c.Issuer != nil && !c.Want.SelfIssued && bytes.Equal(got, c.Issuer.RawSubject):
		return errors.New("the subject is the authority's own name")
	case c.Want.SelfIssued && (c.Issuer == nil || !bytes.Equal(got, c.Issuer.RawSubject)):
		return errors.New("the subject is not the authority's own name")
	}
	return nil
}}
