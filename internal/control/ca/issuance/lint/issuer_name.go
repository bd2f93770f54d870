package lint

import (
	"bytes"
	"errors"
)

// Paths are built by comparing names byte for byte, whatever section 7.1 allows.
var issuerName = Rule{"issuer name", "RFC 5280 section 4.1.2.4", func(c Case) error {
	issuer := c.Issuer
	if issuer == nil {
		issuer = c.Certificate
	}
	if !bytes.Equal(c.Certificate.RawIssuer, issuer.RawSubject) {
		return errors.New("the issuer's name is not that of the authority")
	}
	return nil
}}
