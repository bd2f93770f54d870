package live

import (
	"bytes"
	"crypto/x509"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
)

// A Conn is an admitted connection. Its methods are called from any goroutine,
// perhaps after its end.
type Conn interface {
	// Accepted asks whether the client may stay, under the rules of this moment.
	// If so, the connection has been moved (Registry.Put) where its admission rests now.
	Accepted() *countersign.Denial
	// Expel ends the connection as soon as nothing is under way on it.
	Expel(why *countersign.Denial)
	// Cut ends it now.
	Cut(why *countersign.Denial)
	// Describe says who is there.
	Describe() Description
}

// A Key stands for something that admissions rest on. Two things may have one
// key, which costs a question in vain.
type Key uint64

// A Registry knows the live connections. The zero value is not ready: NewRegistry.
type Registry struct {
	seed maphash.Seed

	mu      sync.Mutex
	groups  map[place]*group
	over    map[Key][]*group // that rest on the certificate
	leaves  map[Key]*Entry   // the first of those whose client has the certificate
	devices map[Key][]Key    // the certificates, as in leaves, of those that belong to the device
	due     deadlines
	count   int
	moves   uint64 // of connections that were in already

	sooner chan struct{} // has a value when the first deadline is another one
}

// A place is what many connections have in common.
type place struct {
	listener string
	store    string // "" when no trust store verified the client
	above    Key    // every certificate of the path but the leaf
}

// A group is the connections of one place.
type group struct {
	place
	keys  []Key // of the certificates between leaf and anchor
	first *Entry
}

// An Entry is a connection's part of a Registry, and of the connection's memory.
// The zero value is ready for Put; once removed it stays out.
type Entry struct {
	conn        Conn // nil: not in a registry
	group       *group
	left, right *Entry // in group
	leaf        Key    // of the client's certificate
	print       Key    // of its fingerprint
	device      Key    // that it belongs to; 0: to none
	prev, next  *Entry // with the same leaf
	slot        int32  // in deadlines, from 1; 0: not there
	known, gone bool   // leaf, print and device are there; it has been removed
	until       int64  // UnixNano, of the deadline
}

// A Standing is what an admission rests on, in the terms of a Registry.
type Standing struct {
	place
	keys        []Key
	leaf, print Key
	known       bool // leaf and print are there
	until       time.Time

	// Device is what the client's certificate belongs to (Registry.Device); 0: to
	// no device, as without a certificate.
	Device Key
}

// NewRegistry returns an empty Registry.
func NewRegistry() *Registry {
	return &Registry{
		seed:   maphash.MakeSeed(),
		groups: map[place]*group{}, over: map[Key][]*group{}, leaves: map[Key]*Entry{}, devices: map[Key][]Key{},
		sooner: make(chan struct{}, 1),
	}
}

// certificate is the key of the certificate with that serial number, big-endian
// without leading zeros, of that issuer, which is DER.
func (r *Registry) certificate(issuer, serial []byte) Key {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.Write(issuer)
	h.Write(bytes.TrimLeft(serial, "\x00"))
	return Key(h.Sum64())
}

func (r *Registry) of(c *x509.Certificate) Key {
	return r.certificate(c.RawIssuer, c.SerialNumber.Bytes())
}

func (r *Registry) fingerprint(sum [32]byte) Key { return Key(maphash.Bytes(r.seed, sum[:])) }

// Standing says what an admission at a listener rests on. The zero Chain is that
// of a client without a certificate. fingerprint is the leaf's.
func (r *Registry) Standing(listener string, chain verify.Chain, fingerprint [32]byte) Standing {
	s := Standing{place: place{listener: listener, store: chain.StoreName()}, until: chain.GoodUntil()}
	if chain.IsZero() {
		return s
	}
	s.known, s.print = true, r.fingerprint(fingerprint)
	path := chain.Path()
	if len(path) == 0 { // passed through
		if leaf := chain.Leaf(); leaf != nil {
			s.leaf = r.of(leaf)
		}
		return s
	}
	s.leaf = r.of(path[0])
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, c := range path[1:] {
		h.Write(c.Raw)
	}
	s.above = Key(h.Sum64())
	s.keys = r.intermediates(path)
	return s
}

// intermediates are the keys of the certificates between leaf and anchor.
func (r *Registry) intermediates(path []*x509.Certificate) []Key {
	if len(path) < 3 {
		return nil
	}
	var keys []Key
	for _, c := range path[1 : len(path)-1] {
		keys = append(keys, r.of(c))
	}
	return keys
}

// Put enters a connection, or moves it to what its admission rests on now. It
// does nothing for one that has been removed.
func (r *Registry) Put(e *Entry, conn Conn, s Standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.gone {
		return
	}
	if e.conn != nil {
		r.moves++
		r.unlink(e)
	} else {
		r.count++
	}
	e.conn = conn
	r.link(e, s)
}

// Remove takes a connection out for good, and reports whether it was in.
func (r *Registry) Remove(e *Entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.conn == nil || e.gone {
		return false
	}
	e.gone = true
	r.unlink(e)
	r.count--
	return true
}

// Len is how many connections are in.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

func (r *Registry) link(e *Entry, s Standing) {
	g := r.groups[s.place]
	if g == nil {
		g = &group{place: s.place, keys: s.keys}
		r.groups[s.place] = g
		for _, k := range g.keys {
			r.over[k] = append(r.over[k], g)
		}
	}
	e.group, e.left, e.right = g, nil, g.first
	if g.first != nil {
		g.first.left = e
	}
	g.first = e
	if e.known = s.known; e.known {
		e.leaf, e.print, e.device, e.next = s.leaf, s.print, s.Device, r.leaves[s.leaf]
		if e.next != nil {
			e.next.prev = e
		}
		r.leaves[e.leaf] = e
		r.linkDevice(e)
	}
	r.setDeadline(e, s.until)
}

func (r *Registry) unlink(e *Entry) {
	switch g := e.group; {
	case e.left != nil:
		e.left.right = e.right
	case e.right != nil:
		g.first = e.right
	default:
		r.dissolve(g)
	}
	if e.right != nil {
		e.right.left = e.left
	}
	e.group, e.left, e.right = nil, nil, nil
	if e.known {
		r.unlinkLeaf(e)
	}
	r.setDeadline(e, time.Time{})
}

// dissolve forgets a group that nobody is in.
func (r *Registry) dissolve(g *group) {
	delete(r.groups, g.place)
	for _, k := range g.keys {
		r.over[k] = slices.DeleteFunc(r.over[k], func(other *group) bool { return other == g })
		if len(r.over[k]) == 0 {
			delete(r.over, k)
		}
	}
}

func (r *Registry) unlinkLeaf(e *Entry) {
	switch {
	case e.prev != nil:
		e.prev.next = e.next
	case e.next != nil:
		r.leaves[e.leaf] = e.next
	default:
		delete(r.leaves, e.leaf)
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	r.unlinkDevice(e)
	e.prev, e.next, e.known = nil, nil, false
}

// At appends to all the connections at a listener.
func (r *Registry) At(all []*Entry, listener string) []*Entry {
	return r.collect(all, func(p place) bool { return p.listener == listener })
}

// Under appends to all the connections at a listener that a trust store verified.
func (r *Registry) Under(all []*Entry, listener, store string) []*Entry {
	return r.collect(all, func(p place) bool { return p.listener == listener && p.store == store })
}

func (r *Registry) collect(all []*Entry, want func(place) bool) []*Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, g := range r.groups {
		if want(p) {
			all = g.members(all)
		}
	}
	return all
}

// Holding appends to all the connections that rest on one of the certificates:
// their clients' own, or one above it.
func (r *Registry) Holding(all []*Entry, certificates []revocation.Certificate) []*Entry {
	for some := range slices.Chunk(certificates, 1024) {
		r.mu.Lock() // not for all: handshakes wait for it
		for _, c := range some {
			k := r.certificate(c.Issuer, c.Serial)
			for e := r.leaves[k]; e != nil; e = e.next {
				all = append(all, e)
			}
			for _, g := range r.over[k] {
				all = g.members(all)
			}
		}
		r.mu.Unlock()
	}
	return all
}

// With appends to all the connections whose client presented the certificate
// with that SHA-256. It looks at every connection, a millisecond for a hundred
// thousand: an index would take them more memory than the question is worth.
func (r *Registry) With(all []*Entry, fingerprint [32]byte) []*Entry {
	k := r.fingerprint(fingerprint)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.groups {
		for e := g.first; e != nil; e = e.right {
			if e.known && e.print == k {
				all = append(all, e)
			}
		}
	}
	return all
}

func (g *group) members(all []*Entry) []*Entry {
	for e := g.first; e != nil; e = e.right {
		all = append(all, e)
	}
	return all
}

// conn is the connection of an entry, nil if it has been removed.
func (r *Registry) conn(e *Entry) Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.gone {
		return nil
	}
	return e.conn
}
