package revocation

import (
	"time"

	"countersign.dev/internal/traffic/background"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A Certificate is known by its issuer and serial number.
type Certificate struct {
	Issuer []byte // DER of the distinguished name
	Serial []byte // big-endian, without leading zeros
}

// Since returns the certificates that are on c's lists and were not on those of
// before. known says that nobody else who passed before is refused by c: each
// list has its successor, signed by the same keys and valid for no less time.
func (c *Checker) Since(before *Checker, now time.Time) (revoked []Certificate, known bool) {
	if c.cfg.Scope != before.cfg.Scope || c.cfg.Missing != before.cfg.Missing || c.cfg.Stale != before.cfg.Stale || c.cfg.Grace < before.cfg.Grace ||
		c.cfg.Asking.terms() != before.cfg.Asking.terms() {
		return nil, false
	}
	was, is := before.bySeries(), c.bySeries()
	if len(was) != len(is) || !c.signedLike(before, is) {
		return nil, false
	}
	for name, s := range is {
		old := was[name]
		if old == nil || c.cfg.Stale == Refuse && (s.end().Before(old.end()) || c.outOfDate(s.newest(), now) != "") {
			return nil, false
		}
		revoked = s.added(old, revoked)
	}
	return revoked, true
}

// A series is all lists of which a newer one takes the place of an older one.
type series []*combined

func (c *Checker) bySeries() map[string]series {
	m := map[string]series{}
	for _, lists := range c.byIssuer {
		for _, l := range lists {
			name := l.complete.Series()
			m[name] = append(m[name], l)
		}
	}
	return m
}

// newest is the list that is valid the longest.
func (s series) newest() *crl.List {
	newest := s[0].newest()
	for _, l := range s[1:] {
		if other := l.newest(); other.NextUpdate.After(newest.NextUpdate) {
			newest = other
		}
	}
	return newest
}

func (s series) end() time.Time { return s.newest().NextUpdate }

// signedLike reports whether the keys that signed the lists of before signed
// those that took their places. It passes on which keys these are: who asked
// before will not ask c.
func (c *Checker) signedLike(before *Checker, is map[string]series) bool {
	before.mu.RLock()
	asked := make(map[signedBy]*issuer, len(before.signed))
	for k, by := range before.signed {
		if by != nil {
			asked[k] = by
		}
	}
	full := len(before.signed) >= mostSigned
	before.mu.RUnlock()
	for k, by := range asked {
		for _, l := range is[k.list.Series()] {
			if c.unsigned(l, by) != nil {
				return false
			}
		}
	}
	return !full // else somebody's answer was not kept
}

// added appends the certificates that are on s and were not on old.
func (s series) added(old series, all []Certificate) []Certificate {
	var work background.Work
	n := 0
	for _, l := range s {
		if old.unchanged(l) {
			continue
		}
		for _, list := range append([]*crl.List{l.complete}, l.deltas...) {
			for serial := range list.Serials() {
				if n++; n%1024 == 0 {
					work.Pause()
				}
				if !old.has(serial) && l.has(serial) {
					all = append(all, Certificate{list.RawIssuer, serial})
				}
			}
		}
	}
	return all
}

// unchanged reports whether l, with its delta lists, is among s.
func (s series) unchanged(l *combined) bool {
	for _, other := range s {
		same := other.complete.Digest() == l.complete.Digest() && len(other.deltas) == len(l.deltas)
		for i := 0; same && i < len(l.deltas); i++ {
			same = other.deltas[i].Digest() == l.deltas[i].Digest()
		}
		if same {
			return true
		}
	}
	return false
}

func (s series) has(serial []byte) bool {
	for _, l := range s {
		if l.has(serial) {
			return true
		}
	}
	return false
}

// has reports whether the certificate with that serial number is revoked.
func (c *combined) has(serial []byte) bool {
	for _, d := range c.deltas {
		if r, found := d.Reason(serial); found {
			return r != crl.RemoveFromCRL
		}
	}
	_, found := c.complete.Reason(serial)
	return found
}
