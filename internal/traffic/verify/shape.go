package verify

import (
	"crypto/rsa"
	"crypto/x509"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
)

// Bounds on what a client may make us look at before anything is verified:
// path building and name constraints cost more than in proportion to them
// (CVE-2026-32280, CVE-2026-27145, CVE-2025-58187).
const (
	maxPresented = 10       // certificates
	maxSize      = 64 << 10 // bytes of DER together: AWS's TLS message size
	maxNames     = 1000     // subject alternative names in one certificate
)

// Unverified makes a Chain of what a client presented in passthrough: nothing
// is known about it but that the client holds the leaf's private key and that
// its number and size are within bounds.
func Unverified(presented []*x509.Certificate) (Chain, *countersign.Denial) {
	if d := bounds(presented, maxPresented); d != nil {
		return Chain{}, d
	}
	return Chain{proof: &proof{presented: presented}}, nil
}

func bounds(presented []*x509.Certificate, most int) *countersign.Denial {
	if len(presented) == 0 {
		return deny(countersign.ClientCertMissing, "the client presented no certificate; give it one, with its private key")
	}
	if len(presented) > most {
		return deny(countersign.ClientCertMaxChainDepthExceeded, "%sthe client presented %d certificates; want at most %d: let it send its own and those of the CAs up to the trust store, nothing else",
			of(presented[0]), len(presented), most)
	}
	size := 0
	for _, c := range presented {
		if c == nil || c.SerialNumber == nil {
			return deny(countersign.ClientCertInvalid, "%sone of the %d certificates presented was not parsed; this is a fault in countersign, please report it", of(presented[0]), len(presented))
		}
		size += len(c.Raw)
	}
	if size > maxSize {
		return deny(countersign.ClientCertMaxSizeExceeded, "%sthe client's %d certificates have %d bytes; want at most %d: issue them with fewer names and extensions, and let it send none that its path does not need",
			of(presented[0]), len(presented), size, maxSize)
	}
	return nil
}

// of begins a reason with the certificate that it is about, if there is one.
func of(c *x509.Certificate) string {
	if c == nil || c.SerialNumber == nil {
		return ""
	}
	return describe.Certificate(c) + ": "
}

// shape refuses what is not worth a signature check.
func (s *Store) shape(presented []*x509.Certificate, o *Options) *countersign.Denial {
	if d := bounds(presented, max(maxPresented, o.MaxChainDepth)); d != nil {
		return d
	}
	for _, c := range presented {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > largestRSA {
			return deny(countersign.ClientCertTypeUnsupported, "%s: its RSA key has %d bits; want at most %d: issue it for a smaller key", describe.Certificate(c), key.N.BitLen(), largestRSA)
		}
		if n := len(c.DNSNames) + len(c.URIs) + len(c.EmailAddresses) + len(c.IPAddresses); n > maxNames {
			return deny(countersign.ClientCertInvalid, "%s has %d subject alternative names; want at most %d: spread them over several certificates", describe.Certificate(c), n, maxNames)
		}
	}
	leaf := presented[0]
	switch {
	case leaf.Version != 3:
		return deny(countersign.ClientCertTypeUnsupported, "%s is an X.509 version %d certificate; want version 3: let its CA issue it again", describe.Certificate(leaf), leaf.Version)
	case len(leaf.UnhandledCriticalExtensions) > 0:
		return deny(countersign.ClientCertInvalid, "%s", unknownExtension(leaf))
	}
	why := s.keys.check(leaf)
	if why == "" {
		why = s.keys.checkSignature(leaf)
	}
	if why != "" {
		return deny(countersign.ClientCertTypeUnsupported, "%s: %s", describe.Certificate(leaf), why)
	}
	return nil
}
