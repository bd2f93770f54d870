package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for an event that must come.
const patience = 10 * time.Second

// A fleet under test, with its changes of health and a clock that can be put forward.
type testFleet struct {
	*Fleet
	health  chan string // "group target healthy" or "group target unhealthy: reason"
	errors  chan string
	forward atomic.Int64
}

func newFleet(t testing.TB) *testFleet {
	f := &testFleet{health: make(chan string, 1000), errors: make(chan string, 1000)}
	f.Fleet = NewFleet(FleetConfig{
		OnHealth: func(group, target string, healthy bool, reason string) {
			if healthy {
				f.health <- fmt.Sprintf("%s %s healthy", group, target)
			} else {
				f.health <- fmt.Sprintf("%s %s unhealthy: %s", group, target, reason)
			}
		},
		OnConnectError: func(group, target string, err error) { f.errors <- fmt.Sprintf("%s %s %v", group, target, err) },
		Now:            func() time.Time { return time.Now().Add(time.Duration(f.forward.Load())) },
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *testFleet) apply(t testing.TB, groups ...GroupConfig) map[string]*Group {
	t.Helper()
	applied, err := f.Apply(groups)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

// await waits for a change of health.
func (f *testFleet) await(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-f.health:
		if got != want {
			t.Fatalf("health: %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("health: nothing changed, want %q", want)
	}
}

// A server accepts connections and hands them to the test.
type server struct {
	address string
	conns   chan net.Conn
}

func newServer(t testing.TB) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: l.Addr().String(), conns: make(chan net.Conn, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- c
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		close(s.conns)
		for c := range s.conns {
			c.Close()
		}
	})
	return s
}

// accept returns the other end of the connection dialed next.
func (s *server) accept(t testing.TB) net.Conn {
	t.Helper()
	select {
	case c := <-s.conns:
		t.Cleanup(func() { c.Close() })
		return c
	case <-time.After(patience):
		t.Fatal("nobody connects")
		return nil
	}
}

// closed waits until the other end of c has closed.
func closed(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Fatalf("read %d bytes, %v; want the connection closed", n, err)
	}
}

// open fails the test if c does not carry a byte to peer.
func open(t testing.TB, c *Conn, peer net.Conn) {
	t.Helper()
	if err := c.ArmWrite(time.Now(), patience); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	peer.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, target *Target, wantReused bool) *Conn {
	t.Helper()
	c, reused, err := target.Get()
	if err != nil {
		t.Fatal(err)
	}
	if reused != wantReused || c.Reused() != wantReused || c.Target() != target {
		t.Fatalf("reused=%v, want %v", reused, wantReused)
	}
	return c
}

func pick(t testing.TB, g *Group, not ...*Target) *Target {
	t.Helper()
	target, denial := g.Pick(Asker{}, not...)
	if denial != nil {
		t.Fatal(denial)
	}
	return target
}

// A backend answers health checks with a status that the test sets.
type backend struct {
	*httptest.Server
	status atomic.Int64
	checks atomic.Int64
}

func newBackend(t testing.TB, status int64) *backend {
	b := &backend{}
	b.status.Store(status)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.checks.Add(1)
		w.WriteHeader(int(b.status.Load()))
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) address() string { return b.Listener.Addr().String() }

// check checks a target now, as its health check does at the next interval.
func (f *testFleet) check(t testing.TB, g *Group, address string) {
	t.Helper()
	g.roster.mu.Lock()
	targets := g.roster.targets
	g.roster.mu.Unlock()
	for _, tg := range targets {
		if tg.address == address {
			checker, err := health.New(tg.check)
			if err != nil {
				t.Fatal(err)
			}
			f.learn(tg, checker.Check(t.Context(), address))
			return
		}
	}
	t.Fatalf("no target %s", address)
}

// rarely is a check that happens by itself once in a test, at registration.
func rarely() *health.Config { return &health.Config{Interval: time.Hour, Timeout: time.Minute} }
