package lint

import (
	"errors"
	"slices"
)

var purpose = Rule{"extended key usage", "RFC 5280 section 4.2.1.12", func(c Case) error {
	if !slices.Equal(c.Certificate.ExtKeyUsage, c.Want.ExtKeyUsage) || len(c.Certificate.UnknownExtKeyUsage) > 0 {
		return errors.New("extended key usage is not the profile's")
	}
	return nil
}}
