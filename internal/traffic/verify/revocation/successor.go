package revocation

import (
	"bytes"
	"fmt"
	"time"

	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// Regressed returns an error for each issuer, key and scope whose newest list in
// after, delta lists included, has a lower number than its newest in before:
// somebody put an old file back, and certificates revoked since would pass.
// Lists without a number are compared by thisUpdate. An issuer that has no list
// any more is not an error.
func Regressed(before, after []*crl.List) []error {
	newest := func(lists []*crl.List) (order []string, m map[string]*crl.List) {
		m = map[string]*crl.List{}
		all, _, _ := combine(lists)
		for _, c := range all {
			l := c.newest()
			have := m[l.Series()]
			if have == nil {
				order = append(order, l.Series())
			}
			if have == nil || newerThan(l, have) {
				m[l.Series()] = l
			}
		}
		return order, m
	}
	var errs []error
	_, old := newest(before)
	order, now := newest(after)
	for _, series := range order {
		if l, was := now[series], old[series]; was != nil && newerThan(was, l) {
			errs = append(errs, fmt.Errorf("%s of %s is older than the one in force, %s of %s: certificates revoked since would pass; publish a newer one",
				l, describe.Date(l.ThisUpdate), was, describe.Date(was.ThisUpdate)))
		}
	}
	return errs
}

// Withdrawn returns the complete lists of before whose place none in after
// takes: of the same issuer, and of the same scope or of all certificates.
func Withdrawn(before, after []*crl.List) (gone []*crl.List) {
	type place struct{ issuer, scope string }
	taken := map[place]bool{}
	for _, l := range after {
		if l.Base == nil {
			taken[place{string(l.RawIssuer), l.Scope()}] = true
		}
	}
	for _, l := range before {
		at := place{string(l.RawIssuer), l.Scope()}
		if l.Base == nil && !taken[at] && !taken[place{at.issuer, ""}] {
			gone = append(gone, l)
			taken[at] = true // told once
		}
	}
	return gone
}

// Premature returns an error for each list of after that is not in before and
// dated in the future: its issuer's clock or ours is wrong, or somebody keeps it
// for later.
func Premature(before, after []*crl.List, now time.Time) []error {
	var errs []error
	for _, l := range after {
		if notYet(l, now) && !has(before, l) {
			errs = append(errs, fmt.Errorf("%s is dated %s, in the future (it is now %s): check the clocks here and at the authority, or publish it when its time has come",
				l, describe.Date(l.ThisUpdate), describe.Date(now)))
		}
	}
	return errs
}

func has(lists []*crl.List, l *crl.List) bool {
	for _, other := range lists {
		if a, b := l.Digest(), other.Digest(); bytes.Equal(a[:], b[:]) {
			return true
		}
	}
	return false
}

func newerThan(l, other *crl.List) bool {
	if l.Number != nil && other.Number != nil {
		return l.Number.Cmp(other.Number) > 0
	}
	return l.ThisUpdate.After(other.ThisUpdate)
}
