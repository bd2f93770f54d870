package condition

import (
	"net/netip"
	"slices"

	"countersign.dev/internal/traffic/route/pattern"
)

// Covers reports whether every request that meets other surely meets c. False may
// mean that nobody can tell. nil is met by every request.
func (c *Set) Covers(other *Set) bool {
	switch {
	case c == nil:
		return true
	case other == nil:
		return false
	}
	return (len(c.Host) == 0 || within(other.Host, c.Host)) &&
		(len(c.Path) == 0 || within(other.Path, c.Path)) &&
		(len(c.Method) == 0 || len(other.Method) > 0 && all(other.Method, func(m string) bool { return slices.Contains(c.Method, m) })) &&
		(len(c.Source) == 0 || len(other.Source) > 0 && all(other.Source, func(p netip.Prefix) bool { return inOneOf(p, c.Source) })) &&
		all(c.Header, func(h Named) bool { return h.covers(other.Header) }) &&
		all(c.Query, func(h Named) bool { return h.covers(other.Query) }) &&
		(c.Client == nil || other.Client != nil && c.Client.covers(other.Client)) &&
		(c.Not == nil || other.Not != nil && other.Not.Covers(c.Not))
}

// within reports whether each of narrow is covered by one of wide; of none there is
// no saying.
func within(narrow, wide []*pattern.Pattern) bool {
	return len(narrow) > 0 && all(narrow, func(n *pattern.Pattern) bool {
		return slices.ContainsFunc(wide, func(w *pattern.Pattern) bool { return w.Covers(n) })
	})
}

func all[T any](list []T, holds func(T) bool) bool {
	return !slices.ContainsFunc(list, func(t T) bool { return !holds(t) })
}

func inOneOf(p netip.Prefix, wide []netip.Prefix) bool {
	return slices.ContainsFunc(wide, func(w netip.Prefix) bool { return w.Bits() <= p.Bits() && w.Contains(p.Addr()) })
}

func (h *Named) covers(others []Named) bool {
	return slices.ContainsFunc(others, func(o Named) bool { return o.Name == h.Name && within(o.Values, h.Values) })
}

func (c *Client) covers(other *Client) bool {
	if c.Verified != nil {
		said := other.Verified
		if said == nil && other.certified() {
			yes := true // what certificates say counts if they are verified
			said = &yes
		}
		if said == nil || *said != *c.Verified {
			return false
		}
	}
	return (len(c.SubjectCN) == 0 || within(other.SubjectCN, c.SubjectCN)) &&
		(len(c.SubjectOU) == 0 || within(other.SubjectOU, c.SubjectOU)) &&
		(len(c.SANDNS) == 0 || within(other.SANDNS, c.SANDNS)) &&
		(len(c.SANURI) == 0 || within(other.SANURI, c.SANURI)) &&
		(len(c.IssuerCN) == 0 || within(other.IssuerCN, c.IssuerCN)) &&
		(len(c.Fingerprint) == 0 || len(other.Fingerprint) > 0 && all(other.Fingerprint, func(f [32]byte) bool { return slices.Contains(c.Fingerprint, f) })) &&
		(len(c.DeviceState) == 0 || len(other.DeviceState) > 0 && all(other.DeviceState, func(s string) bool { return slices.Contains(c.DeviceState, s) }))
}
