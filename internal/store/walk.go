package store

import "countersign.dev"

// A Walk makes a page of the candidates that a backend found.
type Walk struct {
	q     Query
	limit int
	seen  int
	last  Position
	full  bool
	page  []countersign.Device
}

// NewWalk begins a page.
func NewWalk(q Query) *Walk {
	w := &Walk{q: q, limit: q.Size() + 1}
	// An index answers one label with states, or when a device was seen with
	// states. What is asked beyond that is looked at device by device.
	if labels := len(q.Labels); labels > 1 || labels == 1 && q.BySeen() {
		w.limit = max(Scan, w.limit)
	}
	return w
}

// Candidates is how many devices to look for.
func (w *Walk) Candidates() int { return w.limit }

// Take is given the next device, in order; false is that there are enough.
func (w *Walk) Take(d countersign.Device) bool {
	if len(w.page) == w.q.Size() {
		w.full = true
		return false
	}
	w.seen++
	w.last = Position{Seen: d.LastSeen, ID: d.ID}
	if w.q.Takes(&d) {
		w.page = append(w.page, d)
	}
	return true
}

// Page is what was taken.
func (w *Walk) Page() Page {
	p := Page{Devices: w.page}
	if w.full || w.seen == w.limit {
		p.Next = w.q.Next(w.last)
	}
	return p
}
