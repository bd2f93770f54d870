package traffic

import (
	"log/slog"
	"sync"
	"time"

	"countersign.dev"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/accesslog"
	"countersign.dev/internal/traffic/live"
)

// How a client that is no longer accepted loses its connection. A session is a
// live.Conn; package live finds those whom a change concerns.

// restsOn says what the client's admission rests on. The certificates must not
// be at rest yet, else they are parsed for it.
func (s *session) restsOn() live.Standing {
	var fingerprint [32]byte
	if id := s.client.Identity(); id != nil {
		fingerprint = id.Fingerprint
	}
	rests := s.node.admitted.Standing(s.name, s.client.Chain(), fingerprint)
	if s.device != nil && s.device.Device() != "" {
		rests.Device = s.node.admitted.Device(s.device.Device())
	}
	return rests
}

// enter enters the client among the admitted, or moves it to where it is found
// now. A client that is refused was not admitted.
func (s *session) enter(rests live.Standing) {
	if s.listener.Registers() && s.denial == nil {
		s.node.admitted.Put(&s.entry, s, rests)
	}
}

// admitted enters the client among the admitted for the first time. Whoever
// published another snapshot since the handshake did not find it there.
func (s *session) admitted(rests live.Standing) {
	s.standing.Lock()
	s.enter(rests)
	s.standing.Unlock()
	s.stillAccepted()
}

// stillAccepted is refresh for a connection that carries no request at the
// moment, or no requests any more: the client is accepted, or its connection ends.
func (s *session) stillAccepted() *countersign.Denial {
	denial := s.Accepted()
	if denial != nil {
		s.node.enforcer.Refused(&s.entry, denial)
	}
	return denial
}

// Accepted is live.Conn's.
func (s *session) Accepted() (denial *countersign.Denial) {
	s.guard(func() {
		s.standing.Lock()
		defer s.standing.Unlock()
		s.doubt()
		if denial = s.refresh(time.Now()); denial == nil {
			denial = s.denial
		}
		if denial == nil && s.device != nil {
			denial = s.device.LostSince()
		}
	})
	if denial == nil {
		denial = s.stillCarried()
	}
	return denial
}

// Expel is live.Conn's.
func (s *session) Expel(why *countersign.Denial) {
	s.guard(func() {
		if s.closesNow() {
			s.front.Reset(why)
		}
		s.front.Expel(why)
		s.interrupt() // wherever it rests
	})
}

// Cut is live.Conn's.
func (s *session) Cut(why *countersign.Denial) {
	s.guard(func() { s.front.Reset(why) })
}

func (s *session) closesNow() bool {
	s.standing.Lock()
	defer s.standing.Unlock()
	return s.policy != nil && s.policy.Close == countersign.CloseNow
}

// suspects are the admitted whom snap may refuse, and before did not.
func (n *Node) suspects(before, snap *snapshot.Snapshot) (all []*live.Entry) {
	for _, l := range snap.Listeners {
		was := before.Listener(l.Name)
		if was == nil || !l.Registers() || !was.Registers() {
			continue
		}
		if !l.Devices.Same(was.Devices) || !l.Vouching.Same(was.Vouching) {
			all = n.admitted.At(all, l.Name)
			continue
		}
		if l.Stream != nil && (l.Rejudges() || was.Rejudges()) { // what carries requests asks before each
			all = n.admitted.At(all, l.Name)
			continue
		}
		if l.Policies == was.Policies {
			continue
		}
		stores, anybody := l.Policies.Since(was.Policies)
		if anybody {
			all = n.admitted.At(all, l.Name)
			continue
		}
		for name, change := range stores {
			if change.Anybody {
				all = n.admitted.Under(all, l.Name, name)
			} else {
				all = n.admitted.Holding(all, change.Revoked)
			}
		}
	}
	return all
}

// tellOf tells operators of a connection that ends.
func (n *Node) tellOf(c live.Conn, why *countersign.Denial) {
	s := c.(*session)
	s.under().Metrics.Expelled(why.Code)
	n.current.Load().ConnectionLog.Expulsion(&accesslog.Expulsion{Connection: s.connection, Time: time.Now(), Denial: why})
	n.expelled.tell(s.connection, why)
}

// expulsions is what the program log says of those who are expelled: a line
// for each, or for many at once a line in all.
type expulsions struct {
	log *slog.Logger

	mu     sync.Mutex
	since  time.Time // of the first that is counted
	told   int
	untold map[countersign.Code]int
}

// A few in a window have a line each in the program log.
const (
	few    = 10
	window = time.Second
)

func (x *expulsions) tell(c *accesslog.Connection, why *countersign.Denial) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told == 0 {
		x.since = time.Now()
	}
	if x.told++; x.told > few {
		if x.untold == nil {
			x.untold = map[countersign.Code]int{}
		}
		x.untold[why.Code]++
		return
	}
	subject, serial := "", ""
	if c.Certificate != nil {
		subject, serial = c.Certificate.Subject, c.Certificate.Serial
	}
	x.log.Info("a live connection ends: its client is no longer accepted",
		"listener", c.Listener, "client", c.Client.String(), "code", why.Code, "reason", why.Reason,
		"subject", subject, "serial", serial, "conn_trace_id", c.TraceID.String())
}

// sum says how many had no line.
func (x *expulsions) sum(last bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !last && time.Since(x.since) < window {
		return
	}
	for code, n := range x.untold {
		x.log.Info("more live connections end: their clients are no longer accepted", "code", code, "connections", n)
	}
	x.told, x.untold = 0, nil
}
