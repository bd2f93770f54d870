package revocation

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"

	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A combined list is a complete list with the delta lists that apply to it. It
// is looked up as it is: to make one list of them would take the memory twice.
type combined struct {
	complete *crl.List
	deltas   []*crl.List // newest first
}

// newest returns the list whose number and dates are those of the combination
// (RFC 5280 section 5.2.4).
func (c *combined) newest() *crl.List {
	if len(c.deltas) > 0 {
		return c.deltas[0]
	}
	return c.complete
}

// lookup returns the entry that counts, and the list that has it: the newest
// word on a serial number, which may be that it is off the list.
func (c *combined) lookup(serial *big.Int) (crl.Entry, *crl.List) {
	for _, d := range c.deltas {
		if e, found := d.Lookup(serial); found {
			if e.Reason == crl.RemoveFromCRL {
				return crl.Entry{}, nil
			}
			return e, d
		}
	}
	if e, found := c.complete.Lookup(serial); found {
		return e, c.complete
	}
	return crl.Entry{}, nil
}

// Len counts the entries of all its lists.
func (c *combined) Len() int {
	n := c.complete.Len()
	for _, d := range c.deltas {
		n += d.Len()
	}
	return n
}

// String names all its lists.
func (c *combined) String() string {
	s := c.complete.String()
	for _, d := range slices.Backward(c.deltas) {
		s += fmt.Sprintf(" with delta list number %s (%s)", d.Number, d.Name)
	}
	return s
}

// combine applies every delta list to the complete lists that it fits: of the
// same issuer, key and scope, with a number not lower than its base and lower
// than its own (RFC 5280 section 5.2.4). unfit are the faults, idle the delta
// lists that a complete list contains already, in words.
func combine(lists []*crl.List) (all []*combined, unfit []error, idle []string) {
	complete := map[string][]*combined{}
	var deltas []*crl.List
	for _, l := range lists {
		if l.Base != nil {
			deltas = append(deltas, l)
			continue
		}
		c := &combined{complete: l}
		all = append(all, c)
		complete[l.Series()] = append(complete[l.Series()], c)
	}
	slices.SortStableFunc(deltas, func(a, b *crl.List) int { return a.Number.Cmp(b.Number) })
	for _, d := range deltas {
		fits := false
		var newer, older *combined // that it does not fit
		for _, c := range complete[d.Series()] {
			number := c.newest().Number
			switch {
			case number == nil:
			case number.Cmp(d.Number) >= 0:
				newer = c
			case number.Cmp(d.Base) >= 0:
				c.deltas = slices.Insert(c.deltas, 0, d)
				fits = true
			case older == nil || number.Cmp(older.newest().Number) > 0:
				older = c
			}
		}
		switch {
		case fits:
		case newer != nil:
			idle = append(idle, fmt.Sprintf("%s of %s has nothing that %s of %s does not have; it counts for nothing",
				d, describe.Date(d.ThisUpdate), newer, describe.Date(newer.newest().ThisUpdate)))
		case older != nil:
			unfit = append(unfit, fmt.Errorf("%s of %s changes list number %s, and %s of %s is older than that: publish complete list number %s or a newer one, and this delta list after it",
				d, describe.Date(d.ThisUpdate), d.Base, older, describe.Date(older.newest().ThisUpdate), d.Base))
		default:
			unfit = append(unfit, fmt.Errorf("%s of %s changes list number %s of the same issuer, key and scope (%s), which is not here: add the complete list, or take this one out",
				d, describe.Date(d.ThisUpdate), d.Base, cmp.Or(d.Scope(), "all certificates")))
		}
	}
	return all, unfit, idle
}
