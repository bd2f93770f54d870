package traffic

import (
	"errors"
	"net/netip"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/accesslog"
	"countersign.dev/internal/traffic/listen/proxied"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/wire/proxyproto"
)

// introduce finds out whose connection it is, where a balancer in front may say
// so. It costs nothing where none may.
func (s *session) introduce() bool {
	rule := s.listener.Proxied
	if rule == nil {
		return true
	}
	h, err := rule.Ask(s.node.ctx, s.raw)
	if err == nil && h != nil {
		s.proxy = &introduction{passed: rule.Passed(h), Proxy: accesslog.Proxy{
			Peer: addrPort(s.raw.RemoteAddr()), Version: h.Version, Local: h.Local, Source: h.Source, Destination: h.Destination,
			Authority: h.Authority(), UniqueID: h.UniqueID(), VPCEndpoint: h.VPCEndpoint()}}
	}
	if v := s.listener.Vouching; err == nil && v != nil {
		if denial := s.vouch(v, h); denial != nil {
			err = denial
		}
	}
	if err == nil {
		return true
	}
	defer s.raw.Close()
	if denial, ok := errors.AsType[*countersign.Denial](err); ok { // else it ended without a word
		s.listener.Metrics.Denied(denial)
		s.node.current.Load().ConnectionLog.Connection(s.turnedAway(denial))
	}
	return false
}

// An introduction is what a balancer in front says of the connection.
type introduction struct {
	accesslog.Proxy
	passed  []proxyproto.TLV // what of it targets are to be told
	voucher proxied.Voucher  // zero: the client is not known by it
	chain   verify.Chain     // what the policy makes of the certificate in it
	denial  *countersign.Denial
}

// from is the client's address: as a balancer in front tells it, or the one at
// the other end of the socket.
func (s *session) from() netip.AddrPort {
	if s.proxy != nil && !s.proxy.Local {
		return s.proxy.Source
	}
	return addrPort(s.raw.RemoteAddr())
}

// ends is what the logs say of the two ends of the connection.
func (s *session) ends() *accesslog.Connection {
	local := addrPort(s.raw.LocalAddr())
	c := &accesslog.Connection{
		Time: s.accepted, TraceID: s.trace, Client: s.from(),
		Listener: s.name, LocalIP: local.Addr(), ListenerPort: local.Port(),
	}
	if s.proxy != nil {
		c.Proxy, c.VouchedBy = &s.proxy.Proxy, s.proxy.voucher.By()
	}
	return c
}

// turnedAway is the event of a connection that was closed before its handshake.
func (s *session) turnedAway(denial *countersign.Denial) *accesslog.Connection {
	c := s.ends()
	c.HandshakeLatency, c.Denial = -time.Nanosecond, denial
	return c
}
