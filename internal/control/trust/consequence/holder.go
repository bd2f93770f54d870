package consequence

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"
)

// A holder is whoever certificates are issued to: a hash of the subject and of the
// subject alternative names. Zero: these are empty, and say nothing.
type holder [sha256.Size]byte

// A sighting is one certificate of a holder.
type sighting struct {
	fingerprint [32]byte
	first, last time.Time
	accepted    bool // would be
}

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

func holderOf(leaf *x509.Certificate) holder {
	text := leaf.RawSubject
	named := len(leaf.Subject.Names) > 0
	for _, e := range leaf.Extensions {
		if e.Id.Equal(subjectAltName) {
			text, named = slices.Concat(text, e.Value), true
		}
	}
	if !named {
		return holder{}
	}
	return sha256.Sum256(text)
}

// sawFirst notes since when a certificate is known whose holder is connected.
func (q *inquest) sawFirst(fingerprint [32]byte, leaf *x509.Certificate, first time.Time) {
	sightings := q.holders[holderOf(leaf)]
	for i := range sightings {
		if s := &sightings[i]; s.fingerprint == fingerprint && first.Before(s.first) {
			s.first = first
		}
	}
}

// overlap is for how long a holder may use two certificates while it changes from
// one to the other.
const overlap = time.Hour

// replaced reports whether the holder of a certificate that would be refused has
// come with others since, of which the last would be accepted. If certificates of
// one name were in use side by side, they are of several holders, and nothing is
// known of this one.
func (q *inquest) replaced(a *answer) bool {
	h := holderOf(a.leaf)
	if a.connected || h == (holder{}) {
		return false
	}
	sightings := q.holders[h]
	slices.SortFunc(sightings, func(x, y sighting) int {
		if x.first.Equal(y.first) { // to the second
			return x.last.Compare(y.last)
		}
		return x.first.Compare(y.first)
	})
	for i := 1; i < len(sightings); i++ {
		if sightings[i-1].last.After(sightings[i].first.Add(overlap)) {
			return false
		}
	}
	last := sightings[len(sightings)-1]
	return last.accepted
}
