package verify

import (
	"crypto/x509"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
)

func checkDepth(path []*x509.Certificate, o *Options) *countersign.Denial {
	if len(path) > o.MaxChainDepth {
		return deny(countersign.ClientCertMaxChainDepthExceeded,
			"%s: its path has %d certificates from the leaf to the trust anchor %s; max_chain_depth is %d: raise it, or let the trust store have a CA that is closer to the client",
			describe.Certificate(path[0]), len(path), describe.Subject(path[len(path)-1]), o.MaxChainDepth)
	}
	if o.Trace != nil {
		o.passed("depth", "%d certificates from leaf to anchor, at most %d", len(path), o.MaxChainDepth)
	}
	return nil
}

func checkPurpose(path []*x509.Certificate, o *Options) *countersign.Denial {
	for i, c := range path {
		why := ""
		switch {
		case i == 0:
			why = leafPurpose(c)
		case i < len(path)-1:
			why = intermediatePurpose(c)
		}
		if why != "" {
			return deny(countersign.ClientCertPurposeInvalid, "%s: %s", describe.Certificate(c), why)
		}
	}
	if o.Trace != nil {
		o.passed("purpose", "the leaf may identify a TLS client, and its issuers may issue to TLS clients")
	}
	return nil
}

// checkKeys looks at the keys and signatures of the intermediates. Those of the
// leaf were checked first of all, the anchors' keys when the store was made;
// how an anchor is signed does not matter.
func (s *Store) checkKeys(path []*x509.Certificate, o *Options) *countersign.Denial {
	for _, c := range path[1:max(len(path)-1, 1)] {
		why := s.keys.check(c)
		if why == "" {
			why = s.keys.checkSignature(c)
		}
		if why != "" {
			return deny(countersign.ClientCertTypeUnsupported, "%s: %s", describe.Certificate(c), why)
		}
	}
	if o.Trace != nil {
		leaf := path[0]
		o.passed("keys", "the leaf's key is %s, its signature %s; both are allowed, and so are those of its issuers", leaf.PublicKeyAlgorithm, leaf.SignatureAlgorithm)
	}
	return nil
}

// checkValidity returns the end of the first certificate to end; zero when
// expiry is ignored. Validity includes both of its ends (RFC 5280 section 4.1.2.5).
func checkValidity(path []*x509.Certificate, o *Options) (goodUntil time.Time, _ *countersign.Denial) {
	for i, c := range path {
		if o.Now.Before(c.NotBefore) {
			return goodUntil, deny(countersign.ClientCertNotYetValid, "%s, %s, is not valid before %s; it is now %s: check the clocks here and at the CA",
				part(path, i), describe.Certificate(c), describe.Date(c.NotBefore), describe.Date(o.Now))
		}
		if o.IgnoreExpiry {
			continue
		}
		end := c.NotAfter
		if i == 0 && o.Now.After(end) {
			if until, ok := o.Renewal.until(path, o.Now); ok {
				end = until
			}
		}
		if o.Now.After(end) {
			return goodUntil, deny(countersign.ClientCertExpired, "%s, %s, expired on %s; it is now %s: it has to be renewed",
				part(path, i), describe.Certificate(c), describe.Date(c.NotAfter), describe.Date(o.Now))
		}
		goodUntil = earlier(goodUntil, end)
	}
	if o.Trace != nil {
		if d := o.lapse(path); d != nil {
			o.passed("validity", "%s", d.Reason)
		} else if o.IgnoreExpiry {
			o.passed("validity", "every certificate of the path has begun to be valid; whether one has expired is ignored, as ignore_expiry says")
		} else {
			o.passed("validity", "every certificate of the path is valid, the first to expire does so on %s", describe.Date(goodUntil))
		}
	}
	return goodUntil, nil
}

// part says what the certificate at i of a path is to the client.
func part(path []*x509.Certificate, i int) string {
	switch {
	case i == 0:
		return "the leaf"
	case i == len(path)-1:
		return "the CA in the trust store of " + describe.Certificate(path[0])
	}
	return "an intermediate CA of " + describe.Certificate(path[0])
}

func (s *Store) checkAccept(leaf *x509.Certificate, o *Options) *countersign.Denial {
	if len(s.accept) == 0 {
		if o.Trace != nil {
			o.passed("accept", "trust store %q has no filter: every certificate that chains is accepted", s.name)
		}
		return nil
	}
	for i, m := range s.accept {
		if m.Match(leaf) {
			if o.Trace != nil {
				o.passed("accept", "filter %d of %d of trust store %q matches", i+1, len(s.accept), s.name)
			}
			return nil
		}
	}
	return deny(countersign.ClientCertRejected, "%s chains to trust store %q but matches none of its %d accept filters: it has %s; issue it with a name that one of them takes, or add a filter",
		describe.Certificate(leaf), s.name, len(s.accept), claims(leaf))
}
