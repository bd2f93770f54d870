package traffic

import (
	"time"

	"countersign.dev/internal/traffic/live"
	"countersign.dev/internal/traffic/verify/revocation"
)

// What is known of a certificate may change without a new snapshot: a responder
// has answered anew.

// Holds reports whether a connection rests on the certificate: as its client's
// own, or as one above that.
func (n *Node) Holds(c revocation.Certificate) bool {
	return len(n.admitted.Holding(nil, []revocation.Certificate{c})) > 0
}

// Suspect has those clients asked again, in the background, that rest on one of
// the certificates, because the answer may be another one now.
func (n *Node) Suspect(certificates []revocation.Certificate) {
	n.suspicions.Add(1) // before anybody is looked for: who comes too late to be found notices
	n.enforcer.Suspect(func() []*live.Entry { return n.admitted.Holding(nil, certificates) })
}

// doubt has refresh ask, though neither the configuration nor the calendar has
// changed anything, if somebody was suspected since it last did.
func (s *session) doubt() {
	if s.suspicion != s.node.suspicions.Load() {
		s.until = time.Unix(0, 1)
	}
}
