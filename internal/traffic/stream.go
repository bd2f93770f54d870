package traffic

import (
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/accesslog"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/stream"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/live"
)

// carry is THE ORDER, second half, where there are bytes and no requests: once per
// connection.
//
//	peek -> still accepted? -> route -> authorize -> forward -> log
//
// It returns when the connection is over, or silent; carried is told of its end.
func (s *session) carry(conn http.Conn, rests live.Standing) {
	p := stream.New(stream.Config{
		Client: conn, Socket: s.raw, Settings: s.listener.Stream, Accepted: s.accepted, Grace: s.snap.ShutdownTimeout,
		Silence: s.node.silence, Lot: s.node.lot, Guard: s.guard, Moved: s.moved, Done: s.carried,
	})
	s.front = p
	if !s.node.enter(s) {
		s.connection = s.ends()
		p.Refuse(countersign.Deny(countersign.StageForward, countersign.ShuttingDown, "the node is draining, or the listener was removed"), true)
		return
	}
	read, denial := s.peek(p)
	if s.listener.TLS == nil {
		s.denial = denial
		s.logConnection()
	}
	if denial != nil {
		p.Refuse(denial, true)
		return
	}
	s.admitted(rests)
	s.standing.Lock()
	s.carries = s.snap
	s.standing.Unlock()
	var v verdict
	s.decide(&v, nil, time.Now(), nil)
	if s.took = v.rule; v.rule != nil {
		v.rule.Metrics.Taken()
	}
	if v.denial != nil {
		p.Refuse(v.denial, s.closesNow())
		return
	}
	p.Forward(stream.Terms{Grant: v.grant, Private: v.private, Asker: v.asker, Protocol: s.shook.State.NegotiatedProtocol, Preface: read})
}

// stillCarried decides anew about bytes that pass, once for each snapshot: rules and
// requirements may be others. A stream that another group would get stays where it
// is.
func (s *session) stillCarried() (denial *countersign.Denial) {
	s.guard(func() {
		s.standing.Lock()
		anew := s.carries != nil && s.carries != s.snap && s.listener.Rejudges()
		if s.carries != nil {
			s.carries = s.snap
		}
		s.standing.Unlock()
		if anew {
			var v verdict
			s.decide(&v, nil, time.Now(), nil)
			denial = v.denial
		}
	})
	return denial
}

// peek looks for the server name in bytes that go on as they are, if it is asked
// for. A name that is none is nobody's.
func (s *session) peek(p *stream.Pipe) (read []byte, denial *countersign.Denial) {
	if s.listener.TLS != nil || s.listener.Stream.Hello == 0 {
		return nil, nil
	}
	name, read, denial := p.Peek(s.listener.Stream.Hello)
	s.shook.ServerName, _ = handshake.NormalizeName(name)
	return read, denial
}

// moved is told of bytes that were passed on.
func (s *session) moved(r *stream.Result, received, sent int64) {
	s.under().Metrics.Moved(r.Action.Metrics, received, sent)
}

// carried is told how the connection has ended.
func (s *session) carried(r *stream.Result) {
	m := s.under().Metrics
	m.Denied(r.Denial)
	m.StreamEnded(r.Action.Metrics, string(r.End))
	s.logStream(r)
	s.end()
}

// logStream writes the line of the connection. One that was refused in its
// handshake has no Result.
func (s *session) logStream(r *stream.Result) {
	log := s.node.current.Load().AccessLog
	if log == nil || s.shook.Silent {
		return
	}
	line := &accesslog.Stream{Connection: s.connection, Time: time.Now(), Rule: accesslog.RuleNone, ConnectTime: -1, Alert: -1}
	if r == nil {
		line.End, line.Denial, line.Alert = string(stream.Refused), s.denial, s.shook.Alert
		log.Stream(line)
		return
	}
	line.End, line.Denial, line.Alert = string(r.End), r.Denial, r.Alert
	line.ReceivedBytes, line.SentBytes = r.Received, r.Sent
	line.TargetALPN = r.TargetProtocol
	if r.Action.Forward != nil {
		line.TargetGroup, line.Rule = r.Action.Forward.Name(), 0
	} else if r.Denial != nil && r.Denial.Code == countersign.RefusedByRule {
		line.Rule = 0
	}
	if s.took != nil {
		line.Rule, line.RuleName = s.took.Priority, s.took.Name
	}
	for _, t := range r.Tried {
		line.Targets = append(line.Targets, t.Address())
	}
	if !r.Chosen.IsZero() {
		line.ConnectTime = r.Chosen.Sub(r.Began)
	}
	log.Stream(line)
}
