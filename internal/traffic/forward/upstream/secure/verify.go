package secure

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
)

// verify is tls.Config.VerifyConnection. It is asked for resumed sessions too,
// with the certificates of their first handshake, so that none outlives them.
func (h *attempt) verify(cs tls.ConnectionState) error {
	h.chosen = cs.NegotiatedProtocol
	if d := h.protocol(h.chosen); d != nil {
		return d
	}
	if h.client.cfg.Unverified {
		return nil
	}
	// An interface that holds a nil *Denial is not nil.
	if d := h.prove(cs.PeerCertificates); d != nil {
		return d
	}
	return nil
}

func (h *attempt) protocol(chosen string) *countersign.Denial {
	c := &h.client.cfg
	if !c.Demanded || slices.Contains(c.Protocols, chosen) {
		return nil
	}
	said := "chose no protocol by ALPN"
	if chosen != "" {
		said = fmt.Sprintf("chose %q by ALPN", chosen)
	}
	return deny(countersign.TargetProtocolMismatch, "target %s %s, want %s; let it speak that over TLS, or set protocol: https of the target group",
		h.address, said, strings.Join(c.Protocols, " or "))
}

// prove holds the certificates that the target shows against the settings.
func (h *attempt) prove(shown []*x509.Certificate) *countersign.Denial {
	c, now := h.client, h.client.cfg.Now()
	if len(shown) == 0 {
		return deny(countersign.TargetCertInvalid, "target %s shows no certificate; want one for %s", h.address, h.name)
	}
	leaf := shown[0]
	if d := h.inDate(leaf, now); d != nil {
		return d
	}
	issuers := shown[1:]
	if c.roots != nil {
		found := c.anchors.Find(shown, nil)
		if found.Exhausted {
			return deny(countersign.TargetCertInvalid, "target %s shows so many certificates of one name that its issuers are not looked for any further; let it send its own and those of the authorities up to ca_bundle, nothing else", h.address)
		}
		issuers = found.Certificates
	}
	between := x509.NewCertPool()
	for _, issuer := range issuers {
		between.AddCert(issuer)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{Roots: c.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return h.unproven(leaf, err, now)
	}
	if err := leaf.VerifyHostname(h.name); err != nil {
		return deny(countersign.TargetCertNameMismatch, "target %s shows %s, which is for %s; want %s; issue it a certificate for that name, or set tls.server_name to one that it has",
			h.address, describe.Certificate(leaf), names(leaf), h.name)
	}
	var first *countersign.Denial
	for _, path := range paths {
		until, d := h.path(path, now)
		if d == nil {
			h.until = until
			return nil
		}
		if first == nil {
			first = d
		}
	}
	return first
}

// path holds one path, leaf first and authority last, against pins and lists.
func (h *attempt) path(path []*x509.Certificate, now time.Time) (until time.Time, d *countersign.Denial) {
	pins := h.client.cfg.Pins
	pinned := func(cert *x509.Certificate) bool {
		return slices.Contains(pins, sha256.Sum256(cert.RawSubjectPublicKeyInfo))
	}
	if len(pins) > 0 && !slices.ContainsFunc(path, pinned) {
		return until, deny(countersign.TargetCertPinMismatch, "target %s shows %s, of which neither the key nor that of an authority above it is among the %d of tls.pins; its own is %s: pin that if it is as it should be",
			h.address, describe.Certificate(path[0]), len(pins), Pin(path[0]))
	}
	until, denial := h.client.lists.Check(path, now, nil)
	if denial != nil {
		return time.Time{}, h.revoked(denial)
	}
	for _, cert := range path {
		if until.IsZero() || cert.NotAfter.Before(until) {
			until = cert.NotAfter
		}
	}
	return until, nil
}

// revoked puts what the lists say of a client's certificate in terms of a target's.
func (h *attempt) revoked(d *countersign.Denial) *countersign.Denial {
	found := d.Reason
	if i := strings.LastIndex(found, "; "); i >= 0 { // the remedy
		found = found[:i]
	}
	if d.Code == countersign.ClientCertCrlHit {
		return deny(countersign.TargetCertCrlHit, "target %s: %s (tls.crls); give it a new certificate", h.address, found)
	}
	return deny(countersign.TargetCertCrlProcessingError, "target %s: whether its certificate is revoked cannot be told: %s (tls.crls); get the list anew from its authority", h.address, found)
}

func (h *attempt) inDate(cert *x509.Certificate, now time.Time) *countersign.Denial {
	switch {
	case now.After(cert.NotAfter):
		return deny(countersign.TargetCertExpired, "target %s shows %s, which expired on %s; renew it", h.address, describe.Certificate(cert), describe.Date(cert.NotAfter))
	case now.Before(cert.NotBefore):
		return deny(countersign.TargetCertNotYetValid, "target %s shows %s, which is not valid before %s; check the clocks", h.address, describe.Certificate(cert), describe.Date(cert.NotBefore))
	}
	return nil
}

// unproven says why there is no path from leaf to an authority.
func (h *attempt) unproven(leaf *x509.Certificate, err error, now time.Time) *countersign.Denial {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			if d := h.inDate(invalid.Cert, now); d != nil {
				return d
			}
		case x509.IncompatibleUsage:
			return deny(countersign.TargetCertInvalid, "target %s shows %s, which is not for servers; want extended key usage serverAuth; issue it a certificate for servers", h.address, describe.Certificate(leaf))
		}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		where, remedy := "tls.ca_bundle", "add the authority's certificate there, or let the target send its intermediates"
		if h.client.roots == nil {
			where, remedy = "the system", "set tls.ca_bundle to the authority that issued it, or let the target send its intermediates"
		}
		return deny(countersign.TargetCertUntrusted, "target %s shows %s, which no authority of %s vouches for; %s", h.address, describe.Certificate(leaf), where, remedy)
	}
	return deny(countersign.TargetCertInvalid, "target %s shows %s, which is not valid: %s; let it be issued anew", h.address, describe.Certificate(leaf), shorten(strings.TrimPrefix(err.Error(), "x509: ")))
}

// names are what a certificate is for, in words.
func names(cert *x509.Certificate) string {
	const most = 5
	var all []string
	for _, name := range cert.DNSNames {
		all = append(all, fmt.Sprintf("%.100q", name))
	}
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	switch more := len(all) - most; {
	case len(all) == 0:
		return "no name at all (subjectAltName, RFC 9525 section 6.3)"
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), more)
	}
	return strings.Join(all, ", ")
}

func deny(code countersign.Code, format string, args ...any) *countersign.Denial {
	return countersign.Deny(countersign.StageForward, code, format, args...)
}
