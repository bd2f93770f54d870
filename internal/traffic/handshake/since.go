package handshake

import "countersign.dev/internal/traffic/verify"

// Since compares p with the policies that were there before it. It returns what
// has changed in each trust store, by name, that may concern a client who was
// admitted; anybody says that any client may be concerned, whatever its store.
func (p *Policies) Since(before *Policies) (stores map[string]verify.Change, anybody bool) {
	stores = map[string]verify.Change{}
	compare := func(now, was *Policy) bool {
		if now == nil || was == nil || !now.demandsLike(was) {
			return false
		}
		if now.Store == nil {
			return true
		}
		if _, done := stores[now.Store.Name()]; !done {
			stores[now.Store.Name()] = now.Store.Since(was.Store)
		}
		return true
	}
	if !compare(p.def, before.def) || len(p.exact) != len(before.exact) || len(p.parent) != len(before.parent) {
		return nil, true
	}
	for name, now := range p.exact {
		if !compare(now, before.exact[name]) {
			return nil, true
		}
	}
	for name, now := range p.parent {
		if !compare(now, before.parent[name]) {
			return nil, true
		}
	}
	for name, c := range stores {
		if c.Nobody() {
			delete(stores, name)
		}
	}
	return stores, false
}

// demandsLike reports whether p demands of an established client what was did,
// but for the content of the trust store.
func (p *Policy) demandsLike(was *Policy) bool {
	return p.Mode == was.Mode && p.MaxChainDepth == was.MaxChainDepth && p.IgnoreExpiry == was.IgnoreExpiry && p.Renewal.Same(was.Renewal) &&
		(p.Store == nil) == (was.Store == nil) && (p.Store == nil || p.Store.Name() == was.Store.Name())
}
