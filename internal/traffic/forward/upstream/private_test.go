package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/h2pool/h2pooltest"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/proxyproto"
	pires "github.com/pires/go-proxyproto"
)

// told is a group whose targets are told of clients.
func told(addresses ...string) GroupConfig {
	return GroupConfig{Name: "app", Targets: addresses, Proxy: proxyproto.Plan{Version: 1}}
}

// someone is a client with that port.
func someone(t testing.TB, port uint16) *Private {
	p := NewPrivate(&proxyproto.Connection{
		Source: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), Destination: netip.MustParseAddrPort("192.0.2.2:443")})
	t.Cleanup(p.Close)
	return p
}

// introduced reads the header of the client with that port.
func introduced(t testing.TB, peer net.Conn, port int) {
	t.Helper()
	want := fmt.Sprintf("PROXY TCP4 192.0.2.1 192.0.2.2 %d 443\r\n", port)
	got := make([]byte, len(want))
	peer.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != want {
		t.Fatalf("the connection begins with %q, %v; want %q", got, err, want)
	}
}

func getOwn(t testing.TB, p *Private, target *Target, wantReused bool) *pool.Conn {
	t.Helper()
	c, reused, err := p.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	if reused != wantReused {
		t.Fatalf("reused=%v, want %v", reused, wantReused)
	}
	return c
}

func TestAClientsConnectionsAreItsOwn(t *testing.T) {
	f, s := newFleet(t), pooltest.NewServer(t)
	tg := pick(t, f.apply(t, told(s.Address))["app"])
	a, b := someone(t, 1), someone(t, 2)

	first := getOwn(t, a, tg, false)
	peer := s.Accept(t)
	introduced(t, peer, 1)
	pooltest.Open(t, first, peer)
	first.Release(true)

	other := getOwn(t, b, tg, false) // though one is idle
	introduced(t, s.Accept(t), 2)
	other.Release(true)

	again := getOwn(t, a, tg, true)
	pooltest.Open(t, again, peer) // without another header
	again.Release(true)

	fresh, err := a.Dial(t.Context(), tg)
	if err != nil {
		t.Fatal(err)
	}
	introduced(t, s.Accept(t), 1)
	fresh.Release(false)
	if n := tg.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestNobodyInParticularGetsAConnectionThatTellsOfAClient(t *testing.T) {
	f, s := newFleet(t), pooltest.NewServer(t)
	for _, protocol := range []string{"http", "h2"} {
		c := told(s.Address)
		c.Protocol = protocol
		tg := pick(t, f.apply(t, c)["app"])
		if _, _, err := tg.Get(); err != errUntold {
			t.Errorf("%s, Get: %v", protocol, err)
		}
		if _, err := tg.Dial(t.Context()); err != errUntold {
			t.Errorf("%s, Dial: %v", protocol, err)
		}
		if _, err := tg.Stream(t.Context()); err != errUntold {
			t.Errorf("%s, Stream: %v", protocol, err)
		}
		if n := tg.InFlight(); n != 0 {
			t.Errorf("%d in flight", n)
		}
	}
}

func TestAClientThatIsGoneLeavesNoConnection(t *testing.T) {
	f, s := newFleet(t), pooltest.NewServer(t)
	tg := pick(t, f.apply(t, told(s.Address))["app"])
	a := someone(t, 1)
	idle, used := getOwn(t, a, tg, false), getOwn(t, a, tg, false)
	peers := map[string]net.Conn{}
	for range 2 {
		c := s.Accept(t)
		introduced(t, c, 1)
		peers[c.RemoteAddr().String()] = c
	}
	idle.Release(true)
	a.Close()
	pooltest.Closed(t, peers[idle.Net().LocalAddr().String()])
	pooltest.Open(t, used, peers[used.Net().LocalAddr().String()])
	used.Release(true) // which is not to be kept any more
	pooltest.Closed(t, peers[used.Net().LocalAddr().String()])

	// An exchange that was granted before may still begin.
	late := getOwn(t, a, tg, false)
	peer := s.Accept(t)
	introduced(t, peer, 1)
	late.Release(true)
	pooltest.Closed(t, peer)

	tg.expire(time.Now())
	if tg.privates.Clients() != 0 {
		t.Errorf("%d are remembered", tg.privates.Clients())
	}
}

func TestPrivateConnectionsEndWithTheirTarget(t *testing.T) {
	f, s := newFleet(t), pooltest.NewServer(t)
	c := told(s.Address)
	c.DeregistrationDelay = time.Hour
	tg := pick(t, f.apply(t, c)["app"])
	a := someone(t, 1)
	idle, used := getOwn(t, a, tg, false), getOwn(t, a, tg, false)
	peers := map[string]net.Conn{}
	for range 2 {
		c := s.Accept(t)
		introduced(t, c, 1)
		peers[c.RemoteAddr().String()] = c
	}
	idle.Release(true)
	// What connections begin with is a part of what a target is.
	c.Proxy = proxyproto.Plan{}
	if other := pick(t, f.apply(t, c)["app"]); other == tg || other.Private() {
		t.Fatal("the target goes on, and is told of clients")
	}
	pooltest.Closed(t, peers[idle.Net().LocalAddr().String()])
	tg.end()
	pooltest.Closed(t, peers[used.Net().LocalAddr().String()])
	if _, _, err := a.Get(tg); !errors.Is(err, reach.ErrDeregistered) {
		t.Errorf("Get: %v", err)
	}
	used.Release(true)
	c.Proxy.Version = 1
	getOwn(t, a, pick(t, f.apply(t, c)["app"]), false).Release(false)
}

func TestIdlePrivateConnectionsAreClosedInTime(t *testing.T) {
	f, s := newFleet(t), pooltest.NewServer(t)
	tg := pick(t, f.apply(t, told(s.Address))["app"])
	c := getOwn(t, someone(t, 1), tg, false)
	peer := s.Accept(t)
	introduced(t, peer, 1)
	c.Release(true)
	if idle := tg.describe(time.Now()).Idle; idle != 1 {
		t.Errorf("%d idle connections are told of", idle)
	}
	tg.expire(time.Now().Add(time.Hour))
	pooltest.Closed(t, peer)
}

// announcedBackend is an HTTP/2 server that demands headers, and answers with
// whose a connection is.
func announcedBackend(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Whose", r.RemoteAddr)
	})}
	var served sync.WaitGroup
	served.Go(func() {
		server.Serve(&pires.Listener{Listener: l, ConnPolicy: func(pires.ConnPolicyOptions) (pires.Policy, error) { return pires.REQUIRE, nil }})
	})
	t.Cleanup(func() {
		server.Close()
		served.Wait()
	})
	return l.Addr().String()
}

func TestStreamsOfAClientShareItsConnection(t *testing.T) {
	f := newFleet(t)
	c := told(announcedBackend(t))
	c.Protocol, c.Proxy.Version = "h2", 2
	tg := pick(t, f.apply(t, c)["app"])
	a, b := someone(t, 1), someone(t, 2)
	for i, p := range []*Private{a, b, a, b} {
		s, err := p.Stream(t.Context(), tg)
		if err != nil {
			t.Fatal(err)
		}
		if err := h2pooltest.Ask(s, "/"); err != nil {
			t.Fatal(err)
		}
		if err := s.ReadHead(patience); err != nil {
			t.Fatal(err)
		}
		whose := ""
		for _, field := range s.Response.Fields {
			if string(field.Name) == "whose" {
				whose = string(field.Value)
			}
		}
		if whose != p.Client().Source.String() {
			t.Errorf("the target takes the stream for that of %q, want %v", whose, p.Client().Source)
		}
		if s.Reused() != (i >= 2) {
			t.Errorf("stream %d: reused=%v, want a connection for each client", i, s.Reused())
		}
		s.Release()
	}
	a.Close()
	s, err := b.Stream(t.Context(), tg)
	if err != nil {
		t.Fatal(err)
	}
	s.Release()
	h2pooltest.Eventually(t, "the connection of a client that is gone has ended, and is forgotten", func() bool { tg.expire(time.Now()); return tg.privates.Clients() == 1 })
}
