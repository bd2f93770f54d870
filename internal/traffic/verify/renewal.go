package verify

import (
	"crypto/x509"
	"slices"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
)

// A Renewal lets clients come whose own certificate has expired, so that they can
// have it renewed, and do nothing else: their Chain has a Lapse. It must not change.
type Renewal struct {
	// Within is how long after its end a certificate may be renewed.
	Within time.Duration
	// Issuers are whose certificates may be. Those of others have expired.
	Issuers []*x509.Certificate
}

// Same reports whether two say the same.
func (r *Renewal) Same(other *Renewal) bool {
	if r == nil || other == nil {
		return r == other
	}
	return r.Within == other.Within && slices.EqualFunc(r.Issuers, other.Issuers, (*x509.Certificate).Equal)
}

// until is when the expired leaf of a path can no longer be renewed. ok: it can be.
// All the others of the path have to be valid.
func (r *Renewal) until(path []*x509.Certificate, now time.Time) (until time.Time, ok bool) {
	if r == nil || len(path) < 2 || !slices.ContainsFunc(r.Issuers, path[1].Equal) {
		return until, false
	}
	until = path[0].NotAfter.Add(r.Within)
	return until, !now.After(until)
}

// lapse says of a path that has passed what is wrong with its leaf nevertheless.
func (o *Options) lapse(path []*x509.Certificate) *countersign.Denial {
	if leaf := path[0]; !o.IgnoreExpiry && o.Now.After(leaf.NotAfter) {
		until, _ := o.Renewal.until(path, o.Now)
		return deny(countersign.ClientCertExpired, "the leaf, %s, expired on %s; until %s it may be renewed (renew_after_expiry), and nothing else: let the client send simplereenroll, or Initialize with a signing request",
			describe.Certificate(leaf), describe.Date(leaf.NotAfter), describe.Date(until))
	}
	return nil
}
