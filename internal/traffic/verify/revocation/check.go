package revocation

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// Check looks up the certificates of a verified path, leaf first, anchor last.
// goodUntil is the last instant at which the answer holds by time alone, zero
// when time changes nothing. trace, if not nil, is told what was found, in words.
func (c *Checker) Check(path []*x509.Certificate, now time.Time, trace func(ok bool, detail string)) (goodUntil time.Time, denial *countersign.Denial) {
	for i := range c.lookedUp(path) {
		until, d := c.one(path[i], path[i+1], now, trace)
		if d != nil {
			if trace != nil {
				trace(false, d.Reason)
			}
			return time.Time{}, d
		}
		if !until.IsZero() && (goodUntil.IsZero() || until.Before(goodUntil)) {
			goodUntil = until
		}
	}
	return goodUntil, nil
}

// one looks up a certificate in its issuer's lists. To be revoked on any of
// them, an old one or one of another scope included, is to be revoked: an
// issuer gives a serial number once. One list in date that covers the
// certificate is enough to pass, and so is a responder that calls it good.
func (c *Checker) one(cert, by *x509.Certificate, now time.Time, trace func(bool, string)) (time.Time, *countersign.Denial) {
	all := c.byIssuer[string(by.RawSubject)]
	var key [sha256.Size]byte
	if len(all) > 0 {
		key = sha256.Sum256(by.RawSubjectPublicKeyInfo)
	}
	ca := issuer{by, key}
	asked := c.asked(cert, by, now, trace != nil)
	var inDate, outOfDate *combined
	var broken *crl.List
	for _, l := range all {
		other := c.unsigned(l, &ca)
		if other != nil {
			if other.MayBeOf(by) && !c.ofAnchor[other] {
				broken = other
			}
			if other == l.complete {
				continue
			}
			// A delta list that cannot be trusted takes nobody off the complete one,
			// and who is not on that may be on this.
			l = &combined{complete: l.complete}
		}
		if !maySignLists(by) {
			if asked.decides() {
				continue
			}
			return time.Time{}, deny(countersign.ClientCertCrlProcessingError,
				"%s: the key usage of its issuer %s does not let it sign revocation lists, but there is %s of %s; let the CA have cRLSign, or remove the list",
				describe.Certificate(cert), describe.Certificate(by), l, describe.Date(l.newest().ThisUpdate))
		}
		if e, on := l.lookup(cert.SerialNumber); on != nil {
			return time.Time{}, hit(cert, e, on)
		}
		newest := l.newest()
		switch {
		case other != nil || !l.complete.Covers(cert):
		case c.outOfDate(newest, now) == "":
			if inDate == nil || newest.NextUpdate.After(inDate.newest().NextUpdate) {
				inDate = l
			}
		case outOfDate == nil || newest.NextUpdate.After(outOfDate.newest().NextUpdate):
			outOfDate = l
		}
	}
	if asked.denial != nil {
		return time.Time{}, asked.denial
	}
	if trace != nil && asked.words != "" {
		trace(true, asked.words)
	}
	if asked.good {
		return asked.until, nil
	}
	switch {
	case inDate != nil:
		newest := inDate.newest()
		if trace != nil {
			trace(true, fmt.Sprintf("%s is not on %s (%d entries, of %s, valid to %s)",
				describe.Certificate(cert), inDate, inDate.Len(), describe.Date(newest.ThisUpdate), describe.Date(newest.NextUpdate)))
		}
		if c.cfg.Stale == Accept {
			return time.Time{}, nil
		}
		return newest.NextUpdate.Add(c.cfg.Grace), nil
	case broken != nil:
		return time.Time{}, deny(countersign.ClientCertCrlProcessingError,
			"%s: %s of %s is not signed by the issuer %s: the file is damaged, forged, or of another CA with the same name; get it again from the CA",
			describe.Certificate(cert), broken, describe.Date(broken.ThisUpdate), describe.Certificate(by))
	case outOfDate != nil && c.cfg.Stale == Refuse:
		return time.Time{}, deny(countersign.ClientCertCrlProcessingError, "%s: %s of %s %s; publish a newer list, or set revocation.grace",
			describe.Certificate(cert), outOfDate, describe.Date(outOfDate.newest().ThisUpdate), c.outOfDate(outOfDate.newest(), now))
	case outOfDate != nil:
		if trace != nil {
			trace(true, fmt.Sprintf("%s is not on %s, which %s but counts, as revocation.stale says", describe.Certificate(cert), outOfDate, c.outOfDate(outOfDate.newest(), now)))
		}
	case c.cfg.Missing == Refuse:
		return time.Time{}, deny(countersign.ClientCertCrlProcessingError,
			"%s: no revocation list of its issuer speaks for it, and revocation.missing is refuse; %s",
			describe.Certificate(cert), c.lacking(cert, &ca))
	default:
		if trace != nil {
			trace(true, fmt.Sprintf("no revocation list of %s speaks for %s; that is accepted, as revocation.missing says", describe.Subject(by), describe.Certificate(cert)))
		}
	}
	return time.Time{}, nil
}

func hit(cert *x509.Certificate, e crl.Entry, on *crl.List) *countersign.Denial {
	remedy := "if the client is still wanted, issue it a new certificate"
	if e.Reason == crl.CertificateHold {
		remedy = "if the client is wanted again, let the authority take it off hold"
	}
	return deny(countersign.ClientCertCrlHit, "%s was revoked on %s, reason %s, says %s of %s; %s",
		describe.Certificate(cert), describe.Date(e.RevokedAt), e.Reason, on, describe.Date(on.ThisUpdate), remedy)
}

// lacking says which list would speak for cert: of its issuer there is none
// here, or only such as are for others.
func (c *Checker) lacking(cert *x509.Certificate, ca *issuer) string {
	const most = 3
	var here []string
	for _, l := range c.byIssuer[string(ca.RawSubject)] {
		if c.unsigned(l, ca) == nil {
			here = append(here, fmt.Sprintf("%s is for %s", l, l.complete.Scope()))
		}
	}
	if len(here) == 0 {
		return fmt.Sprintf("add the list of %s to the trust store", describe.Certificate(ca.Certificate))
	}
	where := "it names no distribution point"
	if uris := cert.CRLDistributionPoints; len(uris) > 0 {
		where = fmt.Sprintf("its distribution points are %.200q", uris[:min(len(uris), most)])
	}
	if more := len(here) - most; more > 0 {
		here = append(here[:most], fmt.Sprintf("and %d more are for others", more))
	}
	return fmt.Sprintf("%s, and %s; add the list that is for it to the trust store", where, strings.Join(here, ", "))
}
