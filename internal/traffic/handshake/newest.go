package handshake

// newest is the policy as it is in force now, if that is one of the same kind.
// Of others the client is asked once the handshake is over.
func (h *session) newest() *Policy {
	known := h.profile.policy
	if h.server.newest == nil {
		return known
	}
	all := h.server.newest()
	if all == nil {
		return known
	}
	p := all.For(h.serverName)
	if p == nil || p.Name != known.Name || p.Mode != known.Mode || p.Store == nil || p.Store.Name() != known.Store.Name() {
		return known
	}
	return p
}
