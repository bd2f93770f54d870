package traffic

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/accesslog"
)

// introduce finds out whose connection it is, where a balancer in front may say
// so. It costs nothing where none may.
func (s *session) introduce() bool {
	rule := s.listener.Proxied
	if rule == nil {
		return true
	}
	h, err := rule.Ask(s.node.ctx, s.raw.(*net.TCPConn))
	if err == nil {
		if h != nil {
			s.proxy = &accesslog.Proxy{Peer: addrPort(s.raw.RemoteAddr()), Version: h.Version, Local: h.Local,
				Source: h.Source, Destination: h.Destination,
				Authority: h.Authority(), UniqueID: h.UniqueID(), VPCEndpoint: h.VPCEndpoint()}
		}
		return true
	}
	defer s.raw.Close()
	if denial, ok := errors.AsType[*countersign.Denial](err); ok { // else it ended without a word
		s.listener.Metrics.Denied(denial)
		s.node.current.Load().ConnectionLog.Connection(s.turnedAway(denial))
	}
	return false
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
	return &accesslog.Connection{
		Time: s.accepted, TraceID: s.trace, Client: s.from(), Proxy: s.proxy,
		Listener: s.name, LocalIP: local.Addr(), ListenerPort: local.Port(),
	}
}

// turnedAway is the event of a connection that was closed before its handshake.
func (s *session) turnedAway(denial *countersign.Denial) *accesslog.Connection {
	c := s.ends()
	c.HandshakeLatency, c.Denial = -time.Nanosecond, denial
	return c
}
