package lint

import (
	"errors"
	"fmt"
)

var authority = Rule{"basic constraints", "RFC 5280 section 4.2.1.9", func(c Case) error {
	switch x := c.Certificate; {
	case !x.BasicConstraintsValid || x.IsCA != c.Want.CA:
		return errors.New("basic constraints are not the profile's")
	case x.IsCA && x.MaxPathLen != c.Want.MaxPathLen:
		return fmt.Errorf("path length %d: expected %d", x.MaxPathLen, c.Want.MaxPathLen)
	}
	return nil
}}
