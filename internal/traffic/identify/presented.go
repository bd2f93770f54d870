package identify

import (
	"crypto/x509"

	"countersign.dev"
)

// Presented describes a certificate that somebody showed, for a log: nothing
// was verified. It is nil when the certificate cannot be described.
func Presented(cert *x509.Certificate) *countersign.Identity {
	id, err := describe(cert)
	if err != nil {
		return nil
	}
	return id
}
