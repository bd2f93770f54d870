package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/pool"
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

func get(t testing.TB, target *Target, wantReused bool) *pool.Conn {
	t.Helper()
	c, reused, err := target.Get()
	if err != nil {
		t.Fatal(err)
	}
	if reused != wantReused || c.Reused() != wantReused {
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
