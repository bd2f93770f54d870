package lint

import (
	"errors"
	"fmt"

	"countersign.dev/internal/control/ca/altname"
)

var alternativeNames = Rule{"alternative names", "RFC 5280 section 4.2.1.6", func(c Case) error {
	x := c.Certificate
	got := altname.Names{DNS: x.DNSNames, URIs: x.URIs, Emails: x.EmailAddresses, IPs: x.IPAddresses}
	if got.Len() != c.Want.Names {
		return fmt.Errorf("it has %d alternative names: expected the %d requested ones", got.Len(), c.Want.Names)
	}
	return errors.Join(got.Check(c.Want.Wildcards)...)
}}
