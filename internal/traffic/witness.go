package traffic

import (
	"context"
	"crypto/x509"
	"slices"
	"time"

	"countersign.dev"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/verify"
)

// A Witness is told whom a trust store has let pass, or refused. It is told by the
// connections themselves, which wait for it: it must not block. What it is given
// of a chain is good for that call alone.
type Witness interface {
	// Came is called when a client is admitted. fingerprint is its certificate's.
	Came(listener, policy string, chain verify.Chain, fingerprint [32]byte)
	// Left is called when its connection has ended.
	Left(fingerprint [32]byte)
	// Refused is called when a client is refused that presented a certificate.
	Refused(listener, policy string, presented []*x509.Certificate)
}

// came tells the witness. The chain must not be at rest yet.
func (s *session) came() {
	if w := s.node.witness; w != nil && s.denial == nil && s.client.Verified() && s.voucher().IsZero() {
		w.Came(s.name, s.policy.Name, s.client.Chain(), s.client.Identity().Fingerprint)
		s.witnessed = true
		return
	}
	s.refused() // and stays, to be told why
}

// refused tells the witness.
func (s *session) refused() {
	if w := s.node.witness; w != nil && s.denial != nil && s.denial.Stage == countersign.StageVerify && s.policy != nil && len(s.shook.Presented) > 0 {
		w.Refused(s.name, s.policy.Name, s.shook.Presented)
	}
}

func (s *session) left() {
	if !s.witnessed {
		return
	}
	s.standing.Lock()
	id := s.client.Identity()
	s.standing.Unlock()
	if id != nil {
		s.node.witness.Left(id.Fingerprint)
	}
}

// A Presence is a client that is connected, with the certificate that it presented.
type Presence struct {
	Listener, Address string // of the listener, as configured
	ServerName        string // that the client asked for
	Policy            string // that it is under
	Fingerprint       [32]byte
	Since             time.Time
	Presented         []*x509.Certificate // leaf first
	// Anchor is the authority at which the client's path ends; nil when no trust
	// store verified it.
	Anchor *x509.Certificate
}

// Present shows every admitted connection whose client presented a certificate,
// until visit returns an error or ctx ends. A client with several connections is
// shown as often; wanted is asked first, without the certificates, which have to
// be parsed.
func (n *Node) Present(ctx context.Context, wanted func(*Presence) bool, visit func(*Presence) error) error {
	n.mu.Lock()
	sessions := make([]*session, 0, len(n.sessions))
	for s := range n.sessions {
		sessions = append(sessions, s)
	}
	n.mu.Unlock()
	for some := range slices.Chunk(sessions, handful) {
		for _, s := range some {
			if p := s.present(wanted); p != nil {
				if err := visit(p); err != nil {
					return err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

const handful = 16

func (s *session) present(wanted func(*Presence) bool) *Presence {
	s.standing.Lock()
	defer s.standing.Unlock()
	id, chain := s.client.Identity(), s.client.Chain()
	if id == nil || s.denial != nil || s.listener.TLS == nil {
		return nil
	}
	p := &Presence{Listener: s.name, Address: s.address, ServerName: s.shook.ServerName, Policy: s.policy.Name,
		Fingerprint: id.Fingerprint, Since: s.accepted}
	if !wanted(p) {
		return nil
	}
	if p.Presented = chain.Presented(); len(p.Presented) == 0 {
		return nil
	}
	if path := chain.Path(); len(path) > 0 {
		p.Anchor = path[len(path)-1]
	}
	return p
}

// Under returns what the listeners would demand of the client, as a connection
// that stays is asked; nil if its listener is not among them.
func (p *Presence) Under(listeners []*snapshot.Listener) *handshake.Policy {
	for _, l := range listeners {
		if l.Name == p.Listener && l.Address == p.Address && l.TLS != nil {
			return l.Policies.For(p.ServerName)
		}
	}
	return nil
}
