package traffic

import (
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"countersign.dev"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/accesslog"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/socket"
	"countersign.dev/internal/wire/http1"
)

// An exchangeRecord follows one request to the line that is written about it.
type exchangeRecord struct {
	*http.Exchange
	s        *session
	listener *snapshot.Listener
	event    *accesslog.Access // nil: the access log is off
}

// begin notes what the request line says while its bytes are there.
func (s *session) begin(e *http.Exchange) exchangeRecord {
	if s.connection == nil {
		s.logConnection()
	}
	x := exchangeRecord{Exchange: e, s: s, listener: s.under(),
		event: s.node.current.Load().AccessLog.Begin(s.connection)}
	if x.event == nil {
		return x
	}
	q := e.Request
	x.event.Created = e.Started()
	x.event.Request(q.Method, q.Target, protocol(q))
	x.event.Host(q.Host)
	for i := range q.Fields {
		switch fl := &q.Fields[i]; {
		case fl.Kind == http1.UserAgent:
			x.event.UserAgent(fl.Value)
		case fl.Kind == http1.XAmznTraceID:
			x.event.TraceID(fl.Value)
		case fl.Kind == http1.Other && http1.FoldEqual(fl.Name, "referer"):
			x.event.Referer(fl.Value)
		}
	}
	return x
}

// protocol is the version as the logs name it, "" for a request that was not
// understood.
func protocol(q *http1.Request) string {
	switch {
	case q.HTTP2:
		return "HTTP/2.0"
	case q.Method == nil:
		return ""
	case q.Minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// refuse answers the request with d. ends says that the connection cannot go
// on, as after a request whose end is not known. rule took the request; nil: none
// did. It returns what exchange does.
func (x exchangeRecord) refuse(d *countersign.Denial, ends bool, rule *route.Rule) (more, unread bool) {
	// A body that was not read would be taken for the next request.
	unread = ends || x.Request.Body != http1.NoBody
	closing := unread || !x.Request.KeepAlive || x.s.front.Closing()
	status, err := x.Refuse(d, closing)
	x.finish(http.Result{Denial: d, Status: status}, authorize.Grant{}, rule)
	return !closing && err == nil, unread
}

// denied is refuse for what was decided about the request.
func (x exchangeRecord) denied(v *verdict) (more, unread bool) {
	if !v.silent {
		return x.refuse(v.denial, v.ends, v.rule)
	}
	x.Drop()
	x.finish(http.Result{Denial: v.denial}, authorize.Grant{}, v.rule)
	return false, true
}

// forward sends the request on under the grant of v, or has it answered here.
func (x exchangeRecord) forward(v *verdict) (more, unread bool) {
	s := x.s
	terms := &http.Terms{
		Grant: v.grant, Identity: v.identity, Statement: v.statement, Private: v.private, Asker: v.asker, Port: s.connection.ListenerPort,
		Last:  s.front.Closing() || x.Started().Sub(s.accepted) > x.listener.KeepAlive,
		Still: s.still, Restate: v.restate,
	}
	if v.grant.Proof().Given() && len(x.Request.UpgradeTo) > 0 {
		terms.Still, terms.Anew = s.stillShows(x.Request), showsAnew
	}
	var res http.Result
	switch action := v.grant.Action(); {
	case action.Respond != nil:
		terms.Chain = s.verified()
		res = x.Respond(s.node.ctx, terms)
	case action.Reply != nil:
		res = x.Reply(terms)
	default:
		res = x.Forward(terms)
	}
	if res.Denial != nil && !res.Answered {
		ends := res.Unread || res.Denial.Code == countersign.ClientClosed
		closing := ends || !x.Request.KeepAlive || s.front.Closing()
		var err error
		res.Status, err = x.Refuse(res.Denial, closing)
		res.KeepAlive = !closing && err == nil
	}
	x.finish(res, v.grant, v.rule)
	return res.KeepAlive, res.Unread
}

// verified is the client's certificate with those that lead to its anchor.
func (s *session) verified() []*x509.Certificate {
	s.standing.Lock()
	defer s.standing.Unlock()
	return s.client.Chain().Path()
}

// finish counts the exchange and commits its line.
func (x exchangeRecord) finish(res http.Result, grant authorize.Grant, rule *route.Rule) {
	action := grant.Action()
	now := x.Ended()
	metrics := x.listener.Metrics
	metrics.Request(action.Metrics, res.Status, now.Sub(x.Started()), x.Received(), x.Sent())
	metrics.Denied(res.Denial)
	if rule != nil {
		rule.Metrics.Taken()
	}
	ev := x.event
	if ev == nil {
		return
	}
	ev.Time = now
	if p := grant.Proof(); p.Given() {
		ev.AuthSubject, ev.AuthType, ev.AuthCredential = p.Subject(), p.Type(), p.Credential().Name
	}
	ev.Status, ev.Denial = res.Status, res.Denial
	ev.ReceivedBytes, ev.SentBytes = x.Received(), x.Sent()
	ev.WebSocket = res.Switched
	switch {
	case action.Forward != nil:
		ev.Actions, ev.TargetGroup, ev.Rule = "forward", action.Forward.Name(), 0
		ev.GRPC = action.Forward.Protocol() == "grpc"
	case action.Reply != nil && action.Reply.Location != nil:
		ev.Actions, ev.Rule = "redirect", 0
		ev.Redirect(res.Location)
	case action.Reply != nil:
		ev.Actions, ev.Rule = "fixed-response", 0
	case res.Denial != nil, action.Respond != nil:
		ev.Actions = "fixed-response"
	}
	if rule != nil {
		ev.Rule, ev.RuleName = rule.Priority, rule.Name
	}
	if action.Rewrite != nil {
		ev.Transformed(res.Host, res.Rewritten)
		ev.TransformStatus = "TransformSuccess"
	}
	if kind := x.Oddity(); kind != "" {
		ev.Classification, ev.ClassificationReason = http1.Classification(kind), kind
	}
	tried := x.Tried()
	for i, t := range tried {
		status := 0
		if i == len(tried)-1 {
			status = res.TargetStatus
		}
		ev.Target(t.Address(), status)
	}
	if !res.Chosen.IsZero() {
		ev.RequestTime = res.Chosen.Sub(x.Started())
		if !res.Replied.IsZero() {
			ev.TargetTime = res.Replied.Sub(res.Chosen)
		}
		if !res.Answering.IsZero() {
			ev.ResponseTime = res.Answering.Sub(res.Replied)
		}
	}
	// To the log of this moment: the one of the beginning may be closed.
	x.s.node.current.Load().AccessLog.Commit(ev)
}

// logConnection fixes what the logs say about the connection, counts it and
// writes its line. It is called once: when it is known who the client is, or
// that it is refused; without TLS, when the first request is there. A connection
// that closed without a word, as the health check of a TCP balancer does, has no
// line.
func (s *session) logConnection() {
	c := s.ends()
	c.ServerName = s.shook.ServerName
	if c.Denial = s.denial; c.Denial == nil {
		c.Denial = s.client.Lapse() // it may renew its certificate, and is refused all else
	}
	if s.listener.TLS != nil {
		state := &s.shook.State
		c.TLSVersion, c.Cipher, c.Curve = state.Version, state.CipherSuite, state.CurveID
		c.ALPN, c.Resumed, c.ServerName = state.NegotiatedProtocol, state.DidResume, s.shook.ServerName
		c.ServerCertificate = s.shook.Certificate
		c.Offered = s.shook.Offered
		c.HandshakeLatency = s.shook.Latency
		if s.shook.Refused {
			c.HandshakeLatency = -1
		}
		if len(s.shook.Presented) > 0 {
			if c.Certificate = s.client.Identity(); c.Certificate == nil {
				c.Certificate = identify.Presented(s.shook.Presented[0])
			}
			if s.policy != nil && s.policy.Store != nil {
				c.TrustStore = s.policy.Store.Name()
			}
		}
	}
	if s.listener.Vouching != nil {
		c.Certificate = s.client.Identity()
		if s.policy.Store != nil && c.Certificate != nil {
			c.TrustStore = s.policy.Store.Name()
		}
	}
	s.connection = c
	m := s.listener.Metrics
	if s.listener.TLS != nil && !s.shook.Silent {
		m.Handshake(s.denial, c.Resumed, s.shook.Latency)
	}
	if s.shook.Refused {
		m.Denied(s.denial)
	}
	if !s.shook.Silent {
		s.node.current.Load().ConnectionLog.Connection(c)
	}
}

// explainPlainHTTP answers a client that speaks plain HTTP to a TLS port, as
// nginx does with its status 497, instead of leaving it with a reset.
func (s *session) explainPlainHTTP() {
	if s.denial.Code != countersign.PlainHTTPOnTLS {
		s.raw.Close()
		return
	}
	front := http.NewFront(s.raw, s.connection.Client, false)
	front.RefuseUnread(&s.listener.Exchange, s.denial)
	handshake.Linger(s.raw)
}

// refuseFull turns a connection away that the node has no room for.
func (n *Node) refuseFull(address string, conn socket.Conn) {
	defer conn.Close()
	snap := n.current.Load()
	l := snap.At(address)
	if l == nil {
		return
	}
	local := addrPort(conn.LocalAddr())
	denial := countersign.Deny(countersign.StageAccept, countersign.ConnectionLimit,
		"the node holds %d connections, as many as node.max_connections allows", n.gate.Limit())
	l.Metrics.Denied(denial)
	snap.ConnectionLog.Connection(&accesslog.Connection{
		Time: time.Now(), TraceID: accesslog.NewTraceID(), Client: addrPort(conn.RemoteAddr()),
		Listener: l.Name, LocalIP: local.Addr(), ListenerPort: local.Port(), HandshakeLatency: -1,
		Denial: denial,
	})
}

// addrPort is the address of a TCP peer, IPv4 written as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
