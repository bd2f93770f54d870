package upstream

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"github.com/google/go-cmp/cmp"
)

func TestPickTakesTurns(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}})["api"]
	var picked []string
	for range 4 {
		picked = append(picked, pick(t, g).Address())
	}
	if got, want := strings.Join(picked, " "), "192.0.2.1:80 192.0.2.2:80 192.0.2.3:80 192.0.2.1:80"; got != want {
		t.Errorf("picked %s, want %s", got, want)
	}
	if g.Name() != "api" || g.Attempts() != 2 || pick(t, g).Group() != "api" {
		t.Errorf("name %q, attempts %d", g.Name(), g.Attempts())
	}
}

func TestPickNeverReturnsOneThatFailed(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80"}})["api"]
	first := pick(t, g)
	second := pick(t, g, first)
	if second == first {
		t.Errorf("picked %s again", first.Address())
	}
	if _, denial := g.Pick(Asker{}, first, second); denial == nil || denial.Code != countersign.NoHealthyTarget ||
		denial.Reason != `target group "api": all 2 usable targets were tried` {
		t.Errorf("all tried: %v", denial)
	}
}

func TestPickRefusesMoreTriesThanItCanRemember(t *testing.T) {
	var targets []string
	for port := range 12 {
		targets = append(targets, fmt.Sprintf("192.0.2.1:%d", port+1))
	}
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: targets})["api"]
	var tried []*Target
	for range balance.MaxTried + 1 {
		tried = append(tried, pick(t, g, tried...))
	}
	if _, denial := g.Pick(Asker{}, tried...); denial == nil || !strings.Contains(denial.Reason, "9 targets were tried") {
		t.Errorf("got %v", denial)
	}
}

func TestPickFromNobody(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", FailOpen: true})["api"]
	_, denial := g.Pick(Asker{})
	if denial == nil || denial.Code != countersign.NoHealthyTarget || denial.Stage != countersign.StageForward ||
		denial.Reason != `target group "api": it has no targets` {
		t.Errorf("got %v", denial)
	}
}

func TestPickFollowsHealth(t *testing.T) {
	f := newFleet(t)
	a, b := newBackend(t, 200), newBackend(t, 500)
	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{a.address(), b.address()}, Health: rarely()})["api"]
	want := map[string]bool{
		"api " + a.address() + " healthy":                                                 true,
		"api " + b.address() + " unhealthy: Health checks failed with these codes: [500]": true,
	}
	for range 2 {
		if got := <-f.health; !want[got] {
			t.Fatalf("health: %q", got)
		}
	}
	only := func(want *backend) {
		t.Helper()
		for range 4 {
			if got := pick(t, g).Address(); got != want.address() {
				t.Errorf("picked %s, want the healthy %s", got, want.address())
			}
		}
	}
	only(a)

	b.status.Store(302) // in 200-399
	f.check(t, g, b.address())
	f.await(t, "api "+b.address()+" healthy")
	a.status.Store(503)
	f.check(t, g, a.address())
	if first, second := pick(t, g), pick(t, g); first == second {
		t.Errorf("picked %s twice: one bad check of two was enough", first.Address())
	}
	f.check(t, g, a.address())
	f.await(t, "api "+a.address()+" unhealthy: Health checks failed with these codes: [503]")
	only(b)

	b.Close()
	f.check(t, g, b.address())
	f.check(t, g, b.address())
	f.await(t, "api "+b.address()+" unhealthy: Health checks failed: connection refused")
	if _, denial := g.Pick(Asker{}); denial == nil || denial.Reason != `target group "api": none of its 2 targets is healthy, and fail_open is off` {
		t.Errorf("nobody is healthy: %v", denial)
	}
	a.status.Store(200)
	f.check(t, g, a.address())
	f.check(t, g, a.address())
	f.await(t, "api "+a.address()+" healthy")
	only(a)
}

func TestPickFailsOpen(t *testing.T) {
	f := newFleet(t)
	a, b := newBackend(t, 500), newBackend(t, 500)
	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{a.address(), b.address()}, Health: rarely(), FailOpen: true})["api"]
	<-f.health
	<-f.health
	if first, second := pick(t, g), pick(t, g); first == second {
		t.Errorf("picked %s only, want all", first.Address())
	}
	// The same targets, failing closed: it takes effect without another check.
	g = f.apply(t, GroupConfig{Name: "api", Targets: []string{a.address(), b.address()}, Health: rarely()})["api"]
	if _, denial := g.Pick(Asker{}); denial == nil || denial.Code != countersign.NoHealthyTarget {
		t.Errorf("failing closed: %v", denial)
	}
}

func TestPickUsesInitialTargetsOnlyIfNobodyIsHealthy(t *testing.T) {
	f := newFleet(t)
	silent := pooltest.NewServer(t) // accepts, never answers
	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{silent.Address}, Health: rarely()})["api"]
	if got := pick(t, g).Address(); got != silent.Address {
		t.Errorf("picked %s", got)
	}
	if s := g.Targets()[0]; s.State != health.Initial || s.Code != health.InitialHealthChecking {
		t.Errorf("got %+v", s)
	}

	good, bad := newBackend(t, 200), newBackend(t, 500)
	g = f.apply(t, GroupConfig{Name: "api", Targets: []string{bad.address(), silent.Address}, Health: rarely(), FailOpen: true})["api"]
	f.await(t, "api "+bad.address()+" unhealthy: Health checks failed with these codes: [500]")
	for range 3 {
		if got := pick(t, g).Address(); got != silent.Address {
			t.Errorf("picked the unhealthy %s rather than one that may be well", got)
		}
	}
	g = f.apply(t, GroupConfig{Name: "api", Targets: []string{silent.Address, good.address()}, Health: rarely()})["api"]
	f.await(t, "api "+good.address()+" healthy")
	for range 3 {
		if got := pick(t, g).Address(); got != good.address() {
			t.Errorf("picked %s, want the healthy one", got)
		}
	}
}

func TestChangesOfHealthAreLogged(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	f := newFleet(t)
	f.config.Logger = logger
	b := newBackend(t, 500)
	for _, failOpen := range []bool{true, false} {
		b.status.Store(500)
		name := fmt.Sprintf("open=%v", failOpen)
		g := f.apply(t, GroupConfig{Name: name, Targets: []string{b.address()}, Health: rarely(), FailOpen: failOpen})[name]
		<-f.health
		b.status.Store(200)
		f.check(t, g, b.address())
		<-f.health
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, group := range []struct{ name, consequence string }{
		{"open=true", `level=WARN msg="target group has no healthy target; it fails open: all of them are used"`},
		{"open=false", `level=ERROR msg="target group has no healthy target; requests for it are refused"`},
	} {
		fmt.Fprintf(&want, "level=WARN msg=\"target is unhealthy\" target_group=%q target=%s reason=\"Health checks failed with these codes: [500]\"\n", group.name, b.address())
		fmt.Fprintf(&want, "%s target_group=%q\n", group.consequence, group.name)
		fmt.Fprintf(&want, "level=INFO msg=\"target is healthy\" target_group=%q target=%s\n", group.name, b.address())
		fmt.Fprintf(&want, "level=INFO msg=\"target group has a healthy target\" target_group=%q\n", group.name)
	}
	if diff := cmp.Diff(want.String(), log.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTargetsDescribesEach(t *testing.T) {
	f := newFleet(t)
	before := time.Now()
	s := pooltest.NewServer(t)
	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{s.Address}})["api"]
	c1, c2 := get(t, pick(t, g), false), get(t, pick(t, g), false)
	c2.Release(true)
	defer c1.Release(false)
	got := g.Targets()
	if len(got) != 1 || got[0].Since.Before(before) {
		t.Fatalf("got %+v", got)
	}
	got[0].Since = time.Time{}
	want := TargetStatus{Address: s.Address, Name: s.Address, Weight: 1, Share: 1, InFlight: 1, Idle: 1,
		Status: health.Status{State: health.Healthy, Code: health.HealthCheckDisabled, Reason: "Health checks are disabled"}}
	if got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}})["api"]
	failed := pick(t, g)
	if n := testing.AllocsPerRun(1000, func() {
		g.Pick(Asker{})
		g.Pick(Asker{}, failed)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	nobody := newFleet(t).apply(t, GroupConfig{Name: "api"})["api"]
	if n := testing.AllocsPerRun(1000, func() { nobody.Pick(Asker{}) }); n != 0 {
		t.Errorf("%v allocations to refuse", n)
	}
}

func BenchmarkPick(b *testing.B) {
	g := newFleet(b).apply(b, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}})["api"]
	for b.Loop() {
		g.Pick(Asker{})
	}
}
