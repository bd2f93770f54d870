package lint

import "fmt"

var usage = Rule{"key usage", "RFC 5280 section 4.2.1.3", func(c Case) error {
	if got := c.Certificate.KeyUsage; got != c.Want.KeyUsage {
		return fmt.Errorf("key usage %b is not the profile's, %b", got, c.Want.KeyUsage)
	}
	return nil
}}
