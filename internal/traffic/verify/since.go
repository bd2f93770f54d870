package verify

import (
	"fmt"
	"slices"

	"countersign.dev/internal/traffic/verify/revocation"
)

// A Change says whom one generation of a trust store accepts no more, of those
// whom another accepted. It errs on the side of suspicion.
type Change struct {
	// Anybody: any client may be concerned.
	Anybody bool
	// Revoked are the certificates, of clients and authorities, that have come
	// onto a revocation list. Nobody else is concerned, unless Anybody says so.
	Revoked []revocation.Certificate
}

// Nobody reports whether whoever was accepted still is.
func (c Change) Nobody() bool { return !c.Anybody && len(c.Revoked) == 0 }

// Since compares the store with another generation of it, the one before. What
// time changes is not in it: Chain.GoodUntil is not later than it has become.
func (s *Store) Since(before *Store) Change {
	// Equal lists are compared as well: who signed them is passed on.
	revoked, known := s.revocation.Since(before.revocation, s.now())
	switch {
	case s.generation == before.generation:
		return Change{}
	case !known || !s.admitsAll(before):
		return Change{Anybody: true}
	}
	return Change{Revoked: revoked}
}

// admitsAll reports whether, but for revocation, whoever passes before passes s.
// Of several paths one that passes is enough, and of several filters one that
// matches: what is added harms nobody.
func (s *Store) admitsAll(before *Store) bool {
	for f := range before.fingerprints {
		if !s.fingerprints[f] {
			return false
		}
	}
	if len(s.filters) > 0 {
		if len(before.filters) == 0 {
			return false
		}
		for _, f := range before.filters {
			if _, found := slices.BinarySearch(s.filters, f); !found {
				return false
			}
		}
	}
	return fmt.Sprint(s.keys) == fmt.Sprint(before.keys)
}
