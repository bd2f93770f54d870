package verify

import (
	"crypto/x509"
	"slices"
)

// The purpose rules are those of s2n-tls, which are OpenSSL's
// X509_PURPOSE_SSL_CLIENT: crypto/x509 ignores key usage and lets
// anyExtendedKeyUsage on a leaf pass.

// leafPurpose says why a leaf must not identify a TLS client, "" if it may.
func leafPurpose(c *x509.Certificate) string {
	switch {
	case c.IsCA:
		return "it is a CA certificate; let the CA issue the client one of its own"
	case hasExtension(c, oidExtendedKeyUsage) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return "its extended key usage does not include clientAuth; let the CA issue it again with clientAuth, or without an extended key usage"
	case hasExtension(c, oidKeyUsage) && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement) == 0:
		return "its key usage includes neither digitalSignature nor keyAgreement, so that it cannot prove a TLS client; let the CA issue it again with digitalSignature"
	}
	return ""
}

// intermediatePurpose says why a CA must not issue to TLS clients, "" if it
// may. Anchors are not asked: to be in the trust store is their purpose.
func intermediatePurpose(c *x509.Certificate) string {
	if hasExtension(c, oidExtendedKeyUsage) &&
		!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return "its extended key usage includes neither clientAuth nor anyExtendedKeyUsage, so that it cannot issue to TLS clients; let another CA issue to them, or let it be issued again with clientAuth"
	}
	return ""
}
