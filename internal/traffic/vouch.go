package traffic

import (
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/listen/proxied"
	"countersign.dev/internal/wire/proxyproto"
)

// Where TLS ends at a balancer in front, that says who the client is, and the
// policy decides about the certificate as if it had been shown here. What is
// believed is a proxied.Voucher; nothing else of a header ever becomes identity.

// vouch finds out for whom the balancer vouches by header h. It returns the denial of
// a connection that is to end at once.
func (s *session) vouch(v *proxied.Vouching, h *proxyproto.Header) *countersign.Denial {
	if s.proxy == nil {
		s.proxy = new(introduction) // to remember why nobody is known
		s.proxy.Peer, s.proxy.Local = addrPort(s.raw.RemoteAddr()), true
	}
	p, policy := s.proxy, s.listener.Policies.For("")
	if p.voucher, p.denial = v.Take(p.Peer.Addr().WithZone(""), h); p.denial == nil {
		p.chain, p.denial = policy.Admit(p.voucher.Presented(), time.Now(), nil)
	}
	if p.denial == nil {
		_, p.denial = identify.Vouched(p.voucher, p.chain)
	}
	if p.denial == nil {
		return nil
	}
	p.voucher = proxied.Voucher{}
	// A health check of the balancer's is told when it asks for something.
	if p.denial.Stage == countersign.StageAccept || policy.ClosesOnFailure() && (!p.Local || s.listener.Stream != nil) {
		return p.denial
	}
	return nil
}

// vouched has what the balancer said take the place of what a client would have
// shown in a handshake here.
func (s *session) vouched() {
	if s.listener.Vouching == nil || s.denial != nil {
		return
	}
	s.shook.Presented, s.shook.Chain, s.denial = s.proxy.voucher.Presented(), s.proxy.chain, s.proxy.denial
}

// voucher is the zero Voucher where nobody vouches for the client.
func (s *session) voucher() proxied.Voucher {
	if s.proxy == nil {
		return proxied.Voucher{}
	}
	return s.proxy.voucher
}

// again asks what is demanded now whether the client is still to be accepted.
func (s *session) again(now time.Time) *countersign.Denial {
	if v := s.listener.Vouching; v != nil {
		if denial := v.Still(s.voucher()); denial != nil {
			return denial
		}
	}
	return s.shook.Again(s.policy, now)
}
