package live

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"countersign.dev"
)

// A Description is what a connection says about itself.
type Description struct {
	ID       [16]byte // random; the connection's own
	Accepted time.Time
	Client   netip.AddrPort
	Listener string
	// TrustStore is the one under which the client is admitted now; "" when none
	// verified it.
	TrustStore string
	ServerName string
	TLSVersion uint16
	Cipher     uint16
	ALPN       string
	Resumed    bool
	Identity   *countersign.Identity // nil: without a certificate. It must not be changed
	// TargetGroup and Target are where bytes go that are no requests; "": nowhere.
	TargetGroup, Target string
}

// A Query says which connections are meant. The zero Query means all.
type Query struct {
	Listener   string
	TrustStore string
	// Match is asked about those of the listener and the trust store; nil: all of
	// them are meant.
	Match func(*Description) bool
}

// List returns the first connections behind the identifier after, in the order of
// their identifiers, at most limit of them, and whether there are more. Whoever
// pages sees every connection once that is there from the first page to the last.
func (r *Registry) List(q Query, after [16]byte, limit int) (some []Description, more bool) {
	inOrder := func(a, b Description) int { return bytes.Compare(a.ID[:], b.ID[:]) }
	var last [16]byte // behind it nobody is on the page, if it is full
	full := false
	shorten := func() {
		slices.SortFunc(some, inOrder)
		if len(some) > limit {
			some = some[:limit+1]
			last, full = some[limit].ID, true
		}
	}
	r.each(q, func(_ *Entry, d *Description) {
		if bytes.Compare(d.ID[:], after[:]) <= 0 || full && bytes.Compare(d.ID[:], last[:]) > 0 {
			return
		}
		if some = append(some, *d); len(some) > 2*limit+64 {
			shorten()
		}
	})
	shorten()
	if len(some) > limit {
		return some[:limit], true
	}
	return some, false
}

// Find returns the connections that q means.
func (r *Registry) Find(q Query) []*Entry {
	var all []*Entry
	r.each(q, func(e *Entry, _ *Description) { all = append(all, e) })
	return all
}

// each calls do for the connections that q means, in no order.
func (r *Registry) each(q Query, do func(*Entry, *Description)) {
	want := func(p place) bool {
		return (q.Listener == "" || q.Listener == p.listener) && (q.TrustStore == "" || q.TrustStore == p.store)
	}
	for _, at := range r.standing(want) {
		d := at.conn.Describe()
		d.Listener, d.TrustStore = at.place.listener, at.place.store
		if q.Match == nil || q.Match(&d) {
			do(at.entry, &d)
		}
	}
}

// A spot is where a connection was found.
type spot struct {
	entry *Entry
	conn  Conn
	place *place
}

// standing returns the connections at some places. Handshakes wait for the lock,
// so it is given back in between. Then connections can move to where they would
// not be found any more; if one did, they are all looked for at once.
func (r *Registry) standing(want func(place) bool) []spot {
	r.mu.Lock()
	moves := r.moves
	var groups []*group
	for p, g := range r.groups {
		if want(p) {
			groups = append(groups, g)
		}
	}
	r.mu.Unlock()
	var all []spot
	for _, g := range groups {
		all = r.walk(all, g, handful)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.moves == moves {
		return all
	}
	all = all[:0]
	for p, g := range r.groups {
		if want(p) {
			all, _ = g.spots(all, g.first, r.count)
		}
	}
	return all
}

// handful is how many connections are passed under one hold of the lock.
const handful = 2048

// walk appends the members of a group, some at a time. A marker keeps the place in
// between, an entry that stands for no connection.
func (r *Registry) walk(all []spot, g *group, some int) []spot {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := g.first
	if next.group != g { // dissolved meanwhile
		return all
	}
	for {
		if all, next = g.spots(all, next, some); next == nil {
			return all
		}
		marker := &Entry{group: g, left: next.left, right: next}
		if next.left != nil {
			next.left.right = marker
		} else {
			g.first = marker
		}
		next.left = marker
		r.mu.Unlock()
		r.mu.Lock()
		next = marker.right
		r.unlink(marker)
		if next == nil {
			return all
		}
	}
}

// spots appends some members from first on, and returns where to go on.
func (g *group) spots(all []spot, first *Entry, some int) ([]spot, *Entry) {
	e := first
	for ; e != nil && some > 0; e = e.right {
		if e.conn != nil {
			all = append(all, spot{e, e.conn, &g.place})
			some--
		}
	}
	return all, e
}
