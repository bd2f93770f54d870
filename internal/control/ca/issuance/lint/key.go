package lint

import (
	"errors"

	"countersign.dev/internal/control/ca/pubkey"
)

var key = Rule{"key", "NIST SP 800-57 part 1 section 5.6, CA/Browser Forum Baseline Requirements 6.1.5", func(c Case) error {
	switch {
	case !pubkey.Equal(c.Certificate.PublicKey, c.Want.PublicKey):
		return errors.New("the key is not the requested one")
	case c.Issuer != nil && pubkey.Equal(c.Certificate.PublicKey, c.Issuer.PublicKey):
		return errors.New("the key is the authority's own")
	}
	return pubkey.Check(c.Certificate.PublicKey)
}}
