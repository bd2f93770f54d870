package upstream

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/health/healthtest"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/traffic/forward/upstream/reach"
)

func TestApplyKeepsTargetsThatAreAsBefore(t *testing.T) {
	f := newFleet(t)
	backend, s := newBackend(t, 200), pooltest.NewServer(t)
	checked := GroupConfig{Name: "checked", Targets: []string{backend.address()}, Health: rarely()}
	plain := GroupConfig{Name: "plain", Targets: []string{s.Address}}
	first := f.apply(t, checked, plain)
	f.await(t, "checked "+backend.address()+" healthy")
	since := first["checked"].Targets()[0].Since
	get(t, pick(t, first["plain"]), false).Release(true)

	// Other targets and other groups come, other settings change, the order changes.
	checked.Targets = []string{"192.0.2.1:80", backend.address()}
	checked.Health.Host = "" // as it was
	plain.Targets = append(plain.Targets, "192.0.2.1:80")
	plain.ConnectTimeout, plain.Attempts, plain.FailOpen = time.Second, 3, true
	second := f.apply(t, plain, GroupConfig{Name: "more", Targets: []string{s.Address}}, checked)

	if got := second["checked"].Targets()[1]; got.Address != backend.address() || got.State != health.Healthy || got.Since != since {
		t.Errorf("the healthy target is now %+v", got)
	}
	if n := backend.checks.Load(); n != 1 {
		t.Errorf("the target that stayed was checked %d times, want once", n)
	}
	if a, b := pick(t, first["checked"]), pick(t, second["checked"]); a != b {
		t.Error("another target for the same address")
	}
	if second["plain"].Attempts() != 3 || first["plain"].Attempts() != 2 {
		t.Errorf("attempts %d, before %d", second["plain"].Attempts(), first["plain"].Attempts())
	}
	var kept *Target
	for range 2 {
		if tg := pick(t, second["plain"]); tg.Address() == s.Address {
			kept = tg
		}
	}
	get(t, kept, true).Release(false)
	get(t, pick(t, second["more"]), false).Release(false)
}

func TestApplyStartsOverWhenTheCheckIsAnother(t *testing.T) {
	f := newFleet(t)
	backend := newBackend(t, 200)
	g := GroupConfig{Name: "api", Targets: []string{backend.address()}, Health: rarely(), FailOpen: true}
	before := pick(t, f.apply(t, g)["api"])
	f.await(t, "api "+backend.address()+" healthy")
	g.Health = rarely()
	g.Health.Matcher = "204"
	after := pick(t, f.apply(t, g)["api"])
	if after == before {
		t.Error("the target kept the health that another check found")
	}
	f.await(t, "api "+backend.address()+" unhealthy: Health checks failed with these codes: [200]")
}

func TestApplyIsAllOrNothing(t *testing.T) {
	f := newFleet(t)
	s := pooltest.NewServer(t)
	good := GroupConfig{Name: "api", Targets: []string{s.Address}}
	g := f.apply(t, good)["api"]
	c := get(t, pick(t, g), false)
	c.Release(true)

	_, err := f.Apply([]GroupConfig{
		{Name: "new", Targets: []string{"192.0.2.1:80"}},
		{Name: "bad", Targets: []string{"192.0.2.1", ":80", "192.0.2.1:0", "192.0.2.1:http", "192.0.2.2:80", "192.0.2.2:80"},
			Algorithm: "random", Health: &health.Config{Matcher: "2xx", Path: "x"}, Attempts: 11, ConnectTimeout: -1, IdleTimeout: -1},
		{Name: "new"},
		{},
	})
	want := []string{
		`target group "bad": targets: "192.0.2.1", want host:port such as 10.0.0.5:8080 or [fd00::5]:8080: address 192.0.2.1: missing port in address`,
		`target group "bad": targets: ":80", want host:port such as 10.0.0.5:8080 or [fd00::5]:8080: no host`,
		`target group "bad": targets: "192.0.2.1:0", want host:port such as 10.0.0.5:8080 or [fd00::5]:8080: port "0" is not a number from 1 to 65535`,
		`target group "bad": targets: "192.0.2.1:http", want host:port such as 10.0.0.5:8080 or [fd00::5]:8080: port "http" is not a number from 1 to 65535`,
		`target group "bad": targets: "192.0.2.2:80" is there twice`,
		`target group "bad": algorithm: "random", want round_robin, least_outstanding_requests, weighted_random, hash`,
		`target group "bad": health_check: path: "x", want a request target that begins with / in visible ASCII, such as /healthz?full=1`,
		`matcher: "2xx" in "2xx", want statuses from 200 to 599 such as 200, 200-399 or 200-399,418`,
		`target group "bad": attempts: 11, want 1 to 10`,
		`target group "bad": connect timeout: -1ns, want more than 0`,
		`target group "bad": idle timeout: -1ns, want more than 0`,
		`target group "new": the name is there twice`,
		`target group "": name: empty, want a name`,
	}
	if got := fmt.Sprint(err); got != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if again := get(t, pick(t, g), true); again != c {
		t.Error("a configuration that was refused disturbed the connections")
	} else {
		again.Release(false)
	}
}

func TestRemovedTargetDrains(t *testing.T) {
	f := newFleet(t)
	stays, goes := pooltest.NewServer(t), pooltest.NewServer(t)
	old := f.apply(t, GroupConfig{Name: "api", Targets: []string{goes.Address, stays.Address}})["api"]
	removed := pick(t, old)
	busy, idle := get(t, removed, false), get(t, removed, false)
	busyPeer, idlePeer := goes.Peer(t, busy), goes.Peer(t, idle)
	idle.Release(true)

	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{stays.Address}})["api"]
	pooltest.Closed(t, idlePeer)
	for range 3 {
		if pick(t, g) == removed || pick(t, old) == removed {
			t.Fatal("the removed target was picked")
		}
	}
	if s := g.Targets(); len(s) != 2 || s[1].Address != goes.Address || s[1].State != health.Draining ||
		s[1].Code != health.DeregistrationInProgress || s[1].InFlight != 1 {
		t.Errorf("got %+v", s)
	}

	pooltest.Open(t, busy, busyPeer) // it may finish
	busy.Release(true)
	pooltest.Closed(t, busyPeer)
	if s := g.Targets(); len(s) != 1 || s[0].Address != stays.Address {
		t.Errorf("after draining: %+v", s)
	}
}

func TestRequestThatPickedBeforeTheTargetWasRemovedIsServed(t *testing.T) {
	f := newFleet(t)
	s := pooltest.NewServer(t)
	removed := target(t, f, GroupConfig{Targets: []string{s.Address}})
	f.apply(t)
	c := get(t, removed, false)
	peer := s.Accept(t)
	pooltest.Open(t, c, peer)
	c.Release(true)
	pooltest.Closed(t, peer)
}

func TestDrainingConnectionsAreClosedAfterTheDelay(t *testing.T) {
	for name, delay := range map[string]time.Duration{"some": 20 * time.Millisecond, "none": -1} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			s := pooltest.NewServer(t)
			removed := target(t, f, GroupConfig{Targets: []string{s.Address}, DeregistrationDelay: delay})
			c := get(t, removed, false)
			peer := s.Accept(t)
			f.apply(t, GroupConfig{Name: "api"})
			pooltest.Closed(t, peer)
			if _, _, err := removed.Get(); !errors.Is(err, reach.ErrDeregistered) {
				t.Errorf("got %v, want reach.ErrDeregistered", err)
			}
			if n := removed.InFlight(); n != 1 {
				t.Errorf("%d in flight before Release, want 1", n)
			}
			c.Release(true)
			if n := removed.InFlight(); n != 0 {
				t.Errorf("%d in flight after Release, want 0", n)
			}
		})
	}
}

func TestGroupThatWasRemovedServesThoseWhoHoldItUntilTheDelayIsOver(t *testing.T) {
	f := newFleet(t)
	backend := newBackend(t, 200)
	config := GroupConfig{Name: "api", Targets: []string{backend.address(), healthtest.Refusing(t)}, Health: rarely(), DeregistrationDelay: time.Hour}
	g := f.apply(t, config)["api"]
	<-f.health
	<-f.health
	f.apply(t)
	for range 2 {
		tg := pick(t, g)
		if tg.Address() != backend.address() {
			t.Errorf("picked the unhealthy %s", tg.Address())
		}
		get(t, tg, false).Release(true)
	}

	f.forward.Add(int64(2 * time.Hour))
	f.apply(t) // the reaper looks
	for end := time.Now().Add(patience); ; {
		_, denial := g.Pick(Asker{})
		if denial != nil {
			if want := `target group "api": it was removed from the configuration`; denial.Reason != want {
				t.Errorf("got %q, want %q", denial.Reason, want)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("the group is still there after the delay")
		}
	}
	if s := g.Targets(); len(s) != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestCloseWaitsForWhatIsInFlight(t *testing.T) {
	f := newFleet(t)
	s := pooltest.NewServer(t)
	tg := target(t, f, GroupConfig{Targets: []string{s.Address}})
	busy, idle := get(t, tg, false), get(t, tg, false)
	busyPeer, idlePeer := s.Peer(t, busy), s.Peer(t, idle)
	idle.Release(true)
	done := make(chan error, 1)
	go func() { done <- f.Close(t.Context()) }()
	pooltest.Closed(t, idlePeer)
	pooltest.Open(t, busy, busyPeer)
	select {
	case err := <-done:
		t.Fatalf("Close returned %v with a connection in use", err)
	default:
	}
	busy.Release(true)
	if err := <-done; err != nil {
		t.Error(err)
	}
	pooltest.Closed(t, busyPeer)

	if _, _, err := tg.Get(); !errors.Is(err, reach.ErrDeregistered) {
		t.Errorf("Get after Close: %v", err)
	}
	if _, err := f.Apply(nil); err == nil {
		t.Error("Apply after Close succeeded")
	}
	if err := f.Close(t.Context()); err != nil {
		t.Errorf("Close after Close: %v", err)
	}
}

func TestCloseHasADeadline(t *testing.T) {
	f := newFleet(t)
	s := pooltest.NewServer(t)
	tg := target(t, f, GroupConfig{Targets: []string{s.Address}})
	busy := get(t, tg, false)
	peer := s.Accept(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "closed 1 connections") {
		t.Errorf("got %v", err)
	}
	pooltest.Closed(t, peer)
	busy.Release(true)
}

// Requests go on while configurations come and go: none fails, nothing is left over.
func TestLoadWhileConfigurationsChange(t *testing.T) {
	f := newFleet(t)
	backends := make([]*backend, 4)
	for i := range backends {
		backends[i] = newBackend(t, 200)
	}
	config := func(i int) GroupConfig {
		g := GroupConfig{Name: "api", FailOpen: true, IdleTimeout: 20 * time.Millisecond, MaxIdle: 4}
		for j := range 1 + i%3 {
			g.Targets = append(g.Targets, backends[(i+j)%len(backends)].address())
		}
		if i%5 == 0 {
			g.Health = &health.Config{Interval: 10 * time.Millisecond}
		}
		return g
	}
	var mu sync.RWMutex
	groups := f.apply(t, config(0))

	var wg, begun sync.WaitGroup
	stop := make(chan struct{})
	var exchanges [8]int
	begun.Add(len(exchanges))
	for i := range exchanges {
		wg.Go(func() {
			once := sync.OnceFunc(begun.Done)
			defer once()
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				g := groups["api"]
				mu.RUnlock()
				tg, denial := g.Pick(Asker{})
				if denial != nil {
					t.Error(denial)
					return
				}
				c, _, err := tg.Get()
				if err != nil {
					t.Error(err)
					return
				}
				if c.RemoteAddr().String() != tg.Address() {
					t.Error("a connection to another target")
				}
				c.ArmRead(time.Now(), time.Minute)
				exchanges[i]++
				c.Release(exchanges[i]%10 != 0)
				once()
				runtime.Gosched() // nothing here waits for anything
			}
		})
	}
	begun.Wait()
	for i := range 100 {
		next := f.apply(t, config(i))
		if i%10 == 9 {
			f.apply(t) // the group goes away under those who hold it, and comes back
			next = f.apply(t, config(i))
		}
		mu.Lock()
		groups = next
		mu.Unlock()
		for range 20 { // as long as some exchanges take
			c, _, err := pick(t, next["api"]).Get()
			if err != nil {
				t.Fatal(err)
			}
			c.Release(true)
		}
	}
	close(stop)
	wg.Wait()
	total := 0
	for i, n := range exchanges {
		if total += n; n == 0 {
			t.Errorf("worker %d did nothing", i)
		}
	}
	for _, s := range groups["api"].Targets() {
		if s.InFlight != 0 || s.ConnectErrors != 0 || s.Idle > 4 {
			t.Errorf("at the end: %+v", s)
		}
	}
	t.Logf("%d exchanges", total)
}
