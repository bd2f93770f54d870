package traffic

import (
	"crypto/tls"
	"sync"
	"time"

	"countersign.dev"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/accesslog"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/handshake/turns"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/live"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/socket"
	"countersign.dev/internal/wire/http1"
)

// A session is one client connection on its way through the stages.
type session struct {
	node     *Node
	raw      socket.Conn
	address  string // of the socket it came in by, as configured
	turns    *turns.Gate
	name     string // of the listener it came in by
	accepted time.Time
	trace    accesslog.TraceID
	proxy    *introduction // what a balancer in front said; nil: nothing

	// What the connection rests on at the moment; refresh replaces it when the
	// node has published another snapshot.
	snap       *snapshot.Snapshot
	listener   *snapshot.Listener
	policy     *handshake.Policy
	client     identify.Client
	denial     *countersign.Denial // on_failure: respond, or lost since
	identity   []byte              // rendered header fields
	shows      *showing            // nil: nothing had to be shown so far
	statements []statement         // signed ones, of the client as it is described in identity
	private    *upstream.Private   // the client's own connections to targets; nil: none were needed
	until      time.Time           // when the verdict on the chain can change by time alone

	device *belonging // nil: no rule about devices has been met
	parted bool       // from its device, for good

	shook      handshake.Outcome // zero on a listener without TLS
	connection *accesslog.Connection
	front      front
	exchanges  exchanges   // front, unless it passes bytes on
	http1      *http.Front // that, unless the client speaks HTTP/2
	crew       crew        // answers requests over HTTP/2
	standing   sync.Mutex  // held by who looks at or changes what the connection rests on, if several may
	stay       stay        // in the parking lot
	ended      bool
	suspicion  uint32                                              // as many as there had been when the client was last asked about; see Node.Suspect
	witnessed  bool                                                // the client's coming was told
	still      func() *countersign.Denial                          // stillAccepted, bound once
	restated   func(authorize.Grant) ([]byte, *countersign.Denial) // restate, bound once; nil: no token was sent
	carries    *snapshot.Snapshot                                  // under which bytes were let through; nil: none were
	took       *route.Rule                                         // of bytes, which were to pass; nil: none, or the default
	host       hostMemo
	entry      live.Entry // among the admitted
}

// A front is the client's side of the connection: *http.Front, *http.Streams or
// *stream.Pipe.
type front interface {
	Interrupt()
	Cut()
	Closing() bool
	Expel(why *countersign.Denial)
	Reset(why *countersign.Denial)
}

// Exchanges are a front that carries requests.
type exchanges interface {
	front
	Await(set *http.Settings, silence time.Duration) http.Arrival
	Rest()
	Finish(unread bool)
}

// run is THE ORDER, first half: once per connection.
//
//	accept -> handshake -> verify -> identify
//
// Behind a balancer accepting includes reading from it whose connection it is.
// Verification happens inside the handshake, in tls.Config.VerifyConnection,
// because only there it also runs for a resumed session and can still end in a
// TLS alert.
func (s *session) run() {
	if !s.accept() || !s.introduce() {
		s.end()
		return
	}
	conn, ok := s.handshake()
	if !ok {
		s.end()
		return
	}
	s.identify()
	if s.listener.TLS != nil { // else with the first request, since until then nothing was said
		s.logConnection()
	}
	rests := s.restsOn()
	s.came()
	s.meet()
	s.shook.Rest()
	if s.listener.Stream != nil {
		s.carry(conn, rests)
		return
	}
	s.still = s.stillAccepted
	if s.shook.State.NegotiatedProtocol == "h2" {
		s.exchanges = http.NewStreams(conn, s.from(), &s.listener.Exchange, s.stream)
	} else {
		s.http1 = http.NewFront(conn, s.from(), s.listener.TLS != nil)
		s.exchanges = s.http1
	}
	s.front = s.exchanges
	if !s.node.enter(s) {
		s.exchanges.Finish(false)
		s.end()
		return
	}
	s.admitted(rests)
	s.serve()
}

// serve carries exchanges until the connection ends, or falls silent and is
// parked: then a later call goes on, on another goroutine.
func (s *session) serve() {
	unread := false
	for more := true; more; {
		switch s.await() {
		case http.Arrived:
			more, unread = s.exchange()
		case http.Silent:
			return
		default:
			more, unread = false, false
		}
	}
	s.crew.wait()
	s.exchanges.Finish(unread)
	s.end()
}

// exchange is THE ORDER, second half: once per request.
//
//	parse -> still accepted? -> route -> authorize -> forward -> log
func (s *session) exchange() (more, unread bool) {
	ready, denial := s.http1.Next(&s.under().Exchange)
	if !ready && denial == nil {
		return false, false
	}
	x := s.begin(s.http1.Exchange)
	if denial != nil {
		return x.refuse(denial, true, nil)
	}
	var v verdict // passed on by its address: copies took a kilobyte of stack
	s.decide(&v, x.Request, x.Started(), nil)
	s.prove(&v, x.Request, x.Started())
	x.event.Device(v.who, v.word)
	if v.denial != nil {
		return x.denied(&v)
	}
	return x.forward(&v)
}

// stream is exchange over HTTP/2, where the client does not wait for one answer
// before it sends the next request: what it takes to decide is done in the order
// of the requests, what it takes to answer is done side by side.
func (s *session) stream(e *http.Exchange, denial *countersign.Denial) {
	x, v := s.begin(e), verdict{denial: denial}
	if denial == nil {
		s.decide(&v, x.Request, x.Started(), nil)
	}
	if x.Started().Sub(s.accepted) > x.listener.KeepAlive {
		// While this request is open: those that the client sends before it knows
		// are served too (RFC 9113 section 6.8).
		s.front.Interrupt()
	}
	s.crew.do(func() {
		s.guard(func() {
			s.prove(&v, x.Request, x.Started())
			x.event.Device(v.who, v.word)
			if v.denial == nil {
				x.forward(&v)
			} else if x.denied(&v); v.ends || v.silent {
				s.front.Interrupt()
			}
			e.Close() // not behind a fault: who knows who still holds it
		})
	})
}

// A verdict is what is decided about a request before anything is done.
type verdict struct {
	denial    *countersign.Denial
	device    *devices.Record      // of which nothing is known, so that more may be decided later
	evidence  *credential.Evidence // that has to be verified before this is the last word; nil: it is
	ends      bool                 // the connection cannot go on
	silent    bool                 // it ends without an answer
	rule      *route.Rule          // that took the request; nil: none did
	grant     authorize.Grant
	identity  []byte // what the target is told; never changed, but replaced
	statement []byte // and what is signed of it; likewise
	restate   func(authorize.Grant) ([]byte, *countersign.Denial)
	private   *upstream.Private
	asker     upstream.Asker // for whom a target is picked
	who, word string         // the client's device, and its state; "": it is none
}

// decide is the part of THE ORDER that needs nothing but the head, and what was
// found out about it before; nil: nothing.
func (s *session) decide(v *verdict, q *http1.Request, now time.Time, found *credential.Evidence) {
	s.judge(v, q, now, found)
	if v.device != nil { // under a rule about devices that is new: seldom
		s.node.learn(v.device)
		s.judge(v, q, now, found)
	}
	if v.ends {
		s.node.enforcer.Refused(&s.entry, v.denial)
	}
}

func (s *session) judge(v *verdict, q *http1.Request, now time.Time, found *credential.Evidence) {
	*v = verdict{}
	s.standing.Lock()
	defer s.standing.Unlock()
	if denial := s.refresh(now); denial != nil {
		v.denial, v.ends = denial, true
		return
	}
	if q != nil {
		if v.denial = s.misdirected(q.Host); v.denial != nil {
			return
		}
	}
	device := s.stands()
	action, denial := s.listener.Routes.Match(&condition.Question{
		Request: q, ServerName: s.shook.ServerName, Source: s.from().Addr(), Client: s.client, Device: device,
	})
	if denial != nil {
		v.denial = denial
		return
	}
	ask := authorize.Question{
		Policy: s.policy, Client: s.client, Denial: s.denial, Action: action,
		Devices: s.listener.Devices, Device: device, Require: s.listener.Require,
	}
	if ask.Require != nil || action.Require != nil {
		ask.Shown = s.shown(q, now, found)
	}
	grant, denial := authorize.Decide(ask)
	s.saw(now)
	v.denial, v.grant, v.identity, v.evidence = denial, grant, s.identity, unresolved(ask.Shown)
	v.device, v.rule, v.silent = s.pending(), action.Rule, denial != nil && action.Close
	v.who, v.word = s.named(), device.Word()
	if denial == nil {
		v.private, v.asker = s.apart(action.Forward), s.asker(action.Forward)
		v.identity, v.denial = s.attests(grant.Proof())
	}
	if v.denial == nil {
		v.statement, v.denial = s.states(grant)
		v.restate = s.restated
	}
}

// under returns the listener as the connection was last checked under it.
func (s *session) under() *snapshot.Listener {
	s.standing.Lock()
	defer s.standing.Unlock()
	return s.listener
}

// accept takes the connection up under the snapshot of this moment.
func (s *session) accept() bool {
	s.accepted = time.Now()
	s.trace = accesslog.NewTraceID()
	s.snap = s.node.current.Load()
	s.suspicion = s.node.suspicions.Load()
	if s.snap != nil {
		s.listener = s.snap.At(s.address)
	}
	if s.listener == nil { // removed while the connection waited in the queue
		s.raw.Close()
		return false
	}
	s.name = s.listener.Name
	s.listener.Metrics.Opened()
	if alive := s.listener.Alive; alive != nil {
		alive.Apply(s.raw) // which fails on one that is gone already
	}
	return true
}

// handshake proves that the client holds the key of the certificate it shows,
// and has it verified. On a listener without TLS there is nothing to prove.
func (s *session) handshake() (http.Conn, bool) {
	l := s.listener
	if l.TLS == nil {
		s.policy = l.Policies.For("")
		s.vouched()
		return direct.Wrap(s.raw).(http.Conn), true
	}
	var conn *tls.Conn
	conn, s.shook = l.TLS.Handshake(s.node.ctx, s.raw, s.turns)
	s.policy, s.denial = s.shook.Policy, s.shook.Denial
	if s.shook.Refused {
		s.refused()
		s.logConnection()
		if l.Stream != nil {
			s.logStream(nil)
		}
		s.explainPlainHTTP()
		return nil, false
	}
	s.vouched()
	return direct.Gather(conn), true
}

// identify says who the client is and renders what targets are told about it.
func (s *session) identify() {
	s.client, s.until, s.statements = identify.Anonymous(), time.Time{}, nil
	switch {
	case s.denial != nil:
	case s.listener.Vouching != nil:
		s.client, s.denial = identify.Vouched(s.voucher(), s.shook.Chain)
	case !s.shook.Chain.IsZero():
		s.client, s.denial = identify.From(s.shook.Chain)
	}
	if s.denial == nil {
		s.until = s.shook.Chain.GoodUntil()
	}
	if s.denial != nil {
		s.client, s.identity = identify.Anonymous(), nil
	} else {
		s.identity, s.denial = s.listener.Identity.Render(nil, s.client, s.describe())
	}
	s.belong()
	s.tellAnew()
}

// refresh makes the connection's standing that of this moment. Nothing is done,
// and nothing allocated, while neither the configuration nor the calendar has
// changed anything. A client that would not be accepted any more is refused.
func (s *session) refresh(now time.Time) *countersign.Denial {
	snap := s.node.current.Load()
	if snap == s.snap && (s.until.IsZero() || now.Before(s.until)) {
		return nil
	}
	for ; ; snap = s.node.current.Load() {
		if denial := s.renew(snap, now); denial != nil {
			return denial
		}
		// Whoever published another one meanwhile has looked for those whom it
		// concerns where this connection was before.
		if snap == s.node.current.Load() {
			return nil
		}
	}
}

// renew makes the connection's standing that of snap, at that moment.
func (s *session) renew(snap *snapshot.Snapshot, now time.Time) *countersign.Denial {
	suspicion := s.node.suspicions.Load()
	listener := snap.Listener(s.name)
	if listener == nil || listener.Address != s.address || !listener.Like(s.listener) {
		return countersign.Deny(countersign.StageRoute, countersign.ListenerGone,
			"listener %q is not in the configuration that is now in force", s.name)
	}
	s.snap, s.listener, s.suspicion = snap, listener, suspicion
	s.policy = listener.Policies.For(s.shook.ServerName)
	s.host.forget()
	if listener.Admits() {
		had := s.denial
		s.denial = s.again(now)
		if s.denial != nil && had == nil {
			return s.denial
		}
	}
	s.identify()
	s.enter(s.restsOn())
	s.shook.Rest()
	return nil
}
