package traffic

import (
	"countersign.dev"
	"countersign.dev/internal/traffic/forward/stream"
	"countersign.dev/internal/traffic/live"
)

// List returns the first of the admitted connections behind the identifier after,
// as live.Registry.List. One that carries requests without TLS is not among them.
func (n *Node) List(q live.Query, after [16]byte, limit int) (some []live.Description, more bool) {
	return n.admitted.List(q, after, limit)
}

// End ends the connections that q means, as those of clients that are no longer
// accepted end, and returns how many there are. It waits for none of them.
func (n *Node) End(q live.Query, why *countersign.Denial) int {
	all := n.admitted.Find(q)
	for _, e := range all {
		n.enforcer.Refused(e, why)
	}
	return len(all)
}

// Describe is live.Conn's. What it tells has not changed since the handshake, but for
// where bytes go.
func (s *session) Describe() live.Description {
	c := s.connection
	d := live.Description{
		ID: c.TraceID, Accepted: c.Time, Client: c.Client, Listener: c.Listener, ServerName: c.ServerName,
		TLSVersion: c.TLSVersion, Cipher: c.Cipher, ALPN: c.ALPN, Resumed: c.Resumed, Identity: c.Certificate,
	}
	if p, passes := s.front.(*stream.Pipe); passes {
		d.TargetGroup, d.Target = p.Target()
	}
	return d
}
