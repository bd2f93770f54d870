package revocation

import (
	"crypto/x509"
	"fmt"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
)

// Check looks up the certificates of a verified path, leaf first, anchor last.
// goodUntil is the last instant at which the answer holds by time alone, zero
// when time changes nothing. trace, if not nil, is told what was found, in words.
func (c *Checker) Check(path []*x509.Certificate, now time.Time, trace func(ok bool, detail string)) (goodUntil time.Time, denial *countersign.Denial) {
	// A path of one is an anchor by itself: nobody above it issues lists.
	last := min(1, len(path)-1)
	if c.cfg.Scope == ScopeChain {
		last = len(path) - 1
	}
	for i := range last {
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
// certificate is enough to pass.
func (c *Checker) one(cert, issuer *x509.Certificate, now time.Time, trace func(bool, string)) (time.Time, *countersign.Denial) {
	var inDate, outOfDate, broken *List
	for _, l := range c.byIssuer[string(issuer.RawSubject)] {
		if !c.isSignedBy(l, issuer) {
			if l.mayBeOf(issuer) && !c.ofAnchor[l] {
				broken = l
			}
			continue
		}
		if !maySignLists(issuer) {
			return time.Time{}, deny(countersign.ClientCertCrlProcessingError,
				"%s: the key usage of its issuer %s does not let it sign revocation lists, but there is %s; let the CA have cRLSign, or remove the list",
				describe.Certificate(cert), describe.Subject(issuer), l)
		}
		if e, revoked := l.Lookup(cert.SerialNumber); revoked {
			return time.Time{}, deny(countersign.ClientCertCrlHit, "%s was revoked on %s, reason %s, says %s of %s",
				describe.Certificate(cert), describe.Date(e.RevokedAt), e.Reason, l, describe.Date(l.ThisUpdate))
		}
		switch {
		case !l.scope.covers(cert):
		case c.inDate(l, now):
			if inDate == nil || l.NextUpdate.After(inDate.NextUpdate) {
				inDate = l
			}
		case outOfDate == nil || l.NextUpdate.After(outOfDate.NextUpdate):
			outOfDate = l
		}
	}
	switch {
	case inDate != nil:
		if trace != nil {
			trace(true, fmt.Sprintf("%s is not on %s (%d entries, valid to %s)", describe.Certificate(cert), inDate, inDate.Len(), describe.Date(inDate.NextUpdate)))
		}
		if c.cfg.Stale == Accept {
			return time.Time{}, nil
		}
		return inDate.NextUpdate.Add(c.cfg.Grace), nil
	case broken != nil:
		return time.Time{}, deny(countersign.ClientCertCrlProcessingError,
			"%s: %s is not signed by the issuer %s: the file is damaged, forged, or of another CA with the same name; get it again from the CA",
			describe.Certificate(cert), broken, describe.Certificate(issuer))
	case outOfDate != nil && c.cfg.Stale == Refuse:
		return time.Time{}, deny(countersign.ClientCertCrlProcessingError, "%s: %s %s; publish a newer list, or set revocation.grace",
			describe.Certificate(cert), outOfDate, c.outOfDate(outOfDate, now))
	case outOfDate != nil:
		if trace != nil {
			trace(true, fmt.Sprintf("%s is not on %s, which %s but counts, as revocation.stale says", describe.Certificate(cert), outOfDate, c.outOfDate(outOfDate, now)))
		}
	case c.cfg.Missing == Refuse:
		return time.Time{}, deny(countersign.ClientCertCrlProcessingError,
			"%s: no revocation list of its issuer speaks for it, and revocation.missing is refuse; add the list of %s to the trust store",
			describe.Certificate(cert), describe.Certificate(issuer))
	default:
		if trace != nil {
			trace(true, fmt.Sprintf("no revocation list of %s speaks for %s; that is accepted, as revocation.missing says", describe.Subject(issuer), describe.Certificate(cert)))
		}
	}
	return time.Time{}, nil
}

func (c *Checker) inDate(l *List, now time.Time) bool {
	return !now.Before(l.ThisUpdate) && !now.After(l.NextUpdate.Add(c.cfg.Grace))
}
