package lint

import "fmt"

// More than 64 random bits keep whoever can foresee everything else in a
// certificate from preparing a collision of its hash.
var serial = Rule{"serial", "RFC 5280 section 4.1.2.2, CA/Browser Forum Baseline Requirements 7.1", func(c Case) error {
	n := c.Certificate.SerialNumber
	if n.Sign() <= 0 || n.BitLen() <= 64 || n.BitLen() >= 160 {
		return fmt.Errorf("serial number %X: expected a positive number of more than 64 random bits and at most 20 octets", n)
	}
	return nil
}}
