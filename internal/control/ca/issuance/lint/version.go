package lint

import "fmt"

var version = Rule{"version", "RFC 5280 section 4.1.2.1", func(c Case) error {
	if v := c.Certificate.Version; v != 3 {
		return fmt.Errorf("version is %d: expected 3", v)
	}
	return nil
}}
