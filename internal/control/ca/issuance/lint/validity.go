package lint

import (
	"fmt"
	"time"
)

// maxBackdate bounds how far before now a certificate may begin.
const maxBackdate = time.Hour

var validity = Rule{"validity", "RFC 5280 section 4.1.2.5", func(c Case) error {
	from, until := c.Certificate.NotBefore, c.Certificate.NotAfter
	switch {
	case !from.Before(until):
		return fmt.Errorf("it would end (%s) before it begins (%s)", until, from)
	case from.After(c.Now) || c.Now.Sub(from) > maxBackdate:
		return fmt.Errorf("it would begin on %s: expected within the hour before now", from)
	}
	return nil
}}
