package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"countersign.dev/internal/traffic/verify/describe"
)

var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidNameConstraints  = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidExtendedKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// hasExtension tells an absent extension from an empty one: crypto/x509 gives
// the zero value for both.
func hasExtension(c *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for i := range c.Extensions {
		if c.Extensions[i].Id.Equal(oid) {
			return true
		}
	}
	return false
}

// unknownExtension says which critical extension of c is not understood.
func unknownExtension(c *x509.Certificate) string {
	return fmt.Sprintf("%s has the critical extension %v, which is not understood here; let its CA issue it again without it",
		describe.Certificate(c), c.UnhandledCriticalExtensions[0])
}
