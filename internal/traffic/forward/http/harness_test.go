package http_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/respond"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/wire/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen before it fails.
const patience = 20 * time.Second

// identity is what the pipeline has rendered about the client.
const identity = "X-Amzn-Mtls-Clientcert-Subject: CN=test\r\n"

// A bench is one listener's worth of engine between a client and targets, all
// over real sockets on loopback.
type bench struct {
	setup
	t       testing.TB
	results chan http.Result         // of every exchange
	denials chan *countersign.Denial // of Next
	fronts  chan *http.Front         // one for each connection
	streams chan *http.Streams       // one for each connection of a client that speaks HTTP/2
	faults  chan any                 // panics of exchanges
	address string
}

// A setup is what a test may change about a bench before it starts.
type setup struct {
	set    http.Settings
	group  upstream.GroupConfig
	grant  authorize.Grant
	client netip.AddrPort // what the engine is told that the client's address is
	tls    *tls.Config    // nil: plain TCP
	last   bool           // every request is the last of its connection
	http2  bool           // clients speak HTTP/2; without TLS, they know
	still  func() *countersign.Denial
	wrap   func(http.Conn) http.Conn // the client's connection; nil: as it is
	own    respond.Handler           // answers in the place of the targets; nil: they do
}

// start serves the targets at these addresses through the engine.
func start(t testing.TB, targets []string, changes ...func(*setup)) *bench {
	t.Helper()
	plan, err := idheader.Compile(idheader.Config{Dialects: []idheader.Dialect{idheader.AWS},
		Strip: []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port"}})
	if err != nil {
		t.Fatal(err)
	}
	s := setup{
		set: http.Settings{Identity: plan, // as the configuration's defaults, but for the times
			Request:   http1.Limits{Line: 16 << 10, Field: 16 << 10, Head: 80 << 10},
			Response:  http1.Limits{Line: 32 << 10, Field: 32 << 10, Head: 32 << 10},
			Forwarded: http.ForwardedAppend,
			Headers:   patience, Idle: patience, Wait: patience},
		group:  upstream.GroupConfig{Name: "test", Targets: targets, FailOpen: true},
		client: netip.MustParseAddrPort("192.0.2.7:4711"),
	}
	for _, change := range changes {
		change(&s)
	}
	fleet := upstream.NewFleet(upstream.FleetConfig{})
	groups, err := fleet.Apply([]upstream.GroupConfig{s.group})
	if err != nil {
		t.Fatal(err)
	}
	s.grant = granted(t, route.Action{Forward: groups["test"], Respond: s.own})
	b := &bench{setup: s, t: t, results: make(chan http.Result, 1024),
		denials: make(chan *countersign.Denial, 1024), fronts: make(chan *http.Front, 1024), streams: make(chan *http.Streams, 1024), faults: make(chan any, 16)}
	ln := listen(t)
	b.address = ln.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		fleet.Close(ctx)
		running.Wait()
	})
	return b
}

// serve is the pipeline in small: every request is granted to the group.
func (b *bench) serve(raw net.Conn) {
	defer b.guard(raw)
	var conn http.Conn = raw.(*net.TCPConn)
	if b.tls != nil {
		conn = tls.Server(direct.Wrap(raw), b.tls)
	}
	if b.wrap != nil {
		conn = b.wrap(conn)
	}
	if b.http2 {
		b.serveStreams(conn)
		return
	}
	f := http.NewFront(conn, b.client, true)
	tell(b.fronts, f)
	x := &http.Terms{Grant: b.grant, Identity: []byte(identity), Port: 8443}
	more, unread := true, false
	for more {
		more, unread = b.exchange(f, x)
	}
	f.Finish(unread)
}

func (b *bench) exchange(f *http.Front, x *http.Terms) (more, unread bool) {
	ok, denial := f.Next(&b.set)
	if !ok && denial == nil {
		return false, false
	}
	if denial != nil {
		tell(b.denials, denial)
		f.Refuse(denial, true)
		return false, true
	}
	x.Last, x.Still = b.last || f.Closing(), b.still
	res := b.act(f.Exchange, x)
	if res.Denial != nil && !res.Answered {
		ends := res.Unread || res.Denial.Code == countersign.ClientClosed
		closing := ends || !f.Request.KeepAlive || f.Closing()
		var err error
		res.Status, err = f.Refuse(res.Denial, closing)
		res.KeepAlive = !closing && err == nil
	}
	tell(b.results, res)
	return res.KeepAlive, res.Unread
}

// guard ends the connection in which a fault was found.
func (b *bench) guard(raw net.Conn) {
	if found := recover(); found != nil {
		raw.Close()
		tell(b.faults, found)
	}
}

// serveStreams is serve for a client that speaks HTTP/2.
func (b *bench) serveStreams(conn http.Conn) {
	var running sync.WaitGroup
	var f *http.Streams
	f = http.NewStreams(conn, b.client, &b.set, func(e *http.Exchange, denial *countersign.Denial) {
		x := &http.Terms{Grant: b.grant, Identity: []byte(identity), Port: 8443, Last: b.last || f.Closing(), Still: b.still}
		running.Go(func() {
			defer b.guard(conn)
			b.answer(e, denial, x, f)
			e.Close()
		})
	})
	tell(b.streams, f)
	for f.Await(&b.set, b.set.Idle) == http.Silent {
		f.Interrupt()
	}
	running.Wait()
	f.Finish(false)
}

func (b *bench) answer(e *http.Exchange, denial *countersign.Denial, x *http.Terms, f *http.Streams) {
	if denial != nil {
		e.Refuse(denial, true)
		tell(b.denials, denial)
		return
	}
	res := b.act(e, x)
	if res.Denial != nil && !res.Answered {
		res.Status, _ = e.Refuse(res.Denial, f.Closing())
	}
	tell(b.results, res)
}

func (b *bench) act(e *http.Exchange, x *http.Terms) http.Result {
	if b.own != nil {
		return e.Respond(b.t.Context(), x)
	}
	return e.Forward(x)
}

func granted(t testing.TB, action route.Action) authorize.Grant {
	g, denial := authorize.Decide(authorize.Question{
		Policy: &handshake.Policy{Name: "test", Mode: countersign.ClientAuthOff},
		Client: identify.Anonymous(),
		Action: action,
	})
	if denial != nil {
		t.Fatal(denial)
	}
	return g
}

// result waits for the end of the next exchange.
func (b *bench) result() http.Result {
	b.t.Helper()
	return receive(b.t, b.results, "the end of an exchange")
}

// refused waits for the next request that Next refuses and demands the code.
func (b *bench) refused(code countersign.Code) {
	b.t.Helper()
	if d := receive(b.t, b.denials, "a refusal"); d.Code != code {
		b.t.Errorf("refused with %v, want %s", d, code)
	}
}

// ends waits for the next exchange and demands the code of its denial.
func (b *bench) ends(code countersign.Code) http.Result {
	b.t.Helper()
	res := b.result()
	if res.Denial == nil || res.Denial.Code != code {
		b.t.Errorf("the exchange ended with %v, want %s", res.Denial, code)
	}
	return res
}

// tell reports an event; where so many were reported, nobody looks.
func tell[T any](events chan<- T, e T) {
	select {
	case events <- e:
	default:
	}
}

// receive waits for an event.
func receive[T any](t testing.TB, events <-chan T, what string) T {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatalf("waited %s for %s", patience, what)
		panic("unreachable")
	}
}

// none demands that no event has happened.
func none[T any](t testing.TB, events <-chan T, what string) {
	t.Helper()
	select {
	case e := <-events:
		t.Errorf("%s: %+v", what, e)
	default:
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
