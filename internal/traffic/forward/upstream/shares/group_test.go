package shares

import (
	"slices"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// checked is a target with a health check of which nothing has come yet.

func checked() *Target {
	t := NewTarget(health.NewTracker(health.Config{}, start), start)
	t.Terms.Weight = 1
	return t
}

// newGroup is a group of n targets that are always healthy.

func newGroup(rules Rules, n int) (*Group, []*Target) {
	targets := make([]*Target, n)
	for i := range targets {
		targets[i] = NewTarget(nil, start)
		targets[i].Terms.Weight = 1
	}
	g := &Group{}
	g.Apply(rules, targets, start)
	return g, targets
}

func wantChoice(t *testing.T, g *Group, now time.Time, from Source, want ...int) {
	t.Helper()
	if got, source := g.Choose(now); !slices.Equal(got, want) || source != from {
		t.Errorf("%v may be picked (%s), want %v (%s)", got, source, want, from)
	}
}

func good(t *testing.T, g *Group, target *Target, now time.Time) {
	t.Helper()
	if !g.Observe(target, health.Result{OK: true}, now) {
		t.Fatal("a good check changed nothing")
	}
}

func bad(t *testing.T, g *Group, target *Target, now time.Time) {
	t.Helper()
	for range 10 {
		if g.Observe(target, health.Result{Reason: "no"}, now) {
			return
		}
	}
	t.Fatal("ten bad checks changed nothing")
}

func TestHealthDecidesWhoMayBePicked(t *testing.T) {
	g, a, b, unwanted := &Group{}, checked(), checked(), checked()
	unwanted.Terms.Weight = 0
	g.Apply(Rules{}, []*Target{a, b, unwanted}, start)
	wantChoice(t, g, start, FromInitial, 0, 1)
	good(t, g, unwanted, start)
	wantChoice(t, g, start, FromInitial, 0, 1)
	bad(t, g, a, start)
	wantChoice(t, g, start, FromInitial, 1)
	good(t, g, b, start)
	wantChoice(t, g, start, FromHealthy, 1)
	bad(t, g, b, start)
	wantChoice(t, g, start, FromNothing)
	g.Apply(Rules{FailOpen: true}, []*Target{a, b, unwanted}, start)
	wantChoice(t, g, start, FromAll, 0, 1)
}

func TestTheNodesOwnZoneComesFirst(t *testing.T) {
	rules := Rules{Zone: "a", Passive: passive(PassiveHealth{MaxEjected: 100})}
	g, targets := newGroup(rules, 3)
	targets[1].Terms.Zone, targets[2].Terms.Zone = "a", "b"
	wantChoice(t, g, start, FromHealthy, 0, 1, 2)
	rules.OwnZone = true
	g.Apply(rules, targets, start)
	wantChoice(t, g, start, FromZone, 1)
	g.Eject(targets[1], start)
	wantChoice(t, g, start, FromHealthy, 0, 2)
	g, targets = newGroup(rules, 2)
	targets[0].Terms.Zone, targets[1].Terms.Zone = "a", "a"
	wantChoice(t, g, start, FromHealthy, 0, 1) // there is no other
}

func TestATargetThatIsRemovedIsDraining(t *testing.T) {
	g, leaves, stays := &Group{}, checked(), checked()
	rules := Rules{Passive: passive(PassiveHealth{})}
	g.Apply(rules, []*Target{leaves, stays}, start)
	good(t, g, leaves, start)
	later := start.Add(time.Minute)
	leaves.Leave(later)
	g.Apply(rules, []*Target{stays}, later)
	if s := leaves.Status(); s.State != health.Draining || s.Code != health.DeregistrationInProgress || s.Since != later {
		t.Errorf("%+v", s)
	}
	if e := g.Eject(leaves, later); e != (Ejection{}) {
		t.Errorf("it is ejected: %+v", e)
	}
	if d := g.Describe(leaves, later); d != (Description{}) {
		t.Errorf("%+v", d)
	}
	if g.Observe(leaves, health.Result{}, later) || g.Observe(leaves, health.Result{}, later) {
		t.Error("checks of it change its health")
	}
}

// serve has each target do 100 exchanges, and failing of them as many percent.
