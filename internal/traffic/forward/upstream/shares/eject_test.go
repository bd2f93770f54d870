package shares

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func passive(p PassiveHealth) *PassiveHealth {
	p = p.WithDefaults()
	return &p
}

func TestFailuresInARowAreAReasonForAnEjection(t *testing.T) {
	_, targets := newGroup(Rules{Passive: passive(PassiveHealth{Failures: 3})}, 2)
	one := targets[0]
	for i, status := range []int{503, 504, 200, 502, Failed, 500, 503, Reached, 503, 503} { // never three
		if n := one.Report(status); n != 0 {
			t.Fatalf("report %d, %d: %d in a row", i, status, n)
		}
	}
	for _, want := range []int{3, 4} {
		if n := one.Report(Failed); n != want {
			t.Errorf("%d failures in a row, want %d", n, want)
		}
	}
	if n := targets[1].Report(Failed); n != 0 {
		t.Errorf("the failures of another target count: %d", n)
	}
}

func TestAnEjectionEnds(t *testing.T) {
	g, targets := newGroup(Rules{Passive: passive(PassiveHealth{Failures: 1, Ejection: 30 * time.Second})}, 3)
	if e := g.Eject(targets[1], start); e != (Ejection{Done: true, Healthy: 3}) {
		t.Fatalf("%+v", e)
	}
	if e := g.Eject(targets[1], start); e != (Ejection{}) {
		t.Errorf("one that is out already: %+v", e)
	}
	wantChoice(t, g, start, FromHealthy, 0, 2)
	if d := g.Describe(targets[1], start); d != (Description{EjectedUntil: start.Add(30 * time.Second), Ejections: 1}) {
		t.Errorf("%+v", d)
	}
	if r := g.Review(start.Add(29 * time.Second)); r.Next != time.Second || r.Changed || r.Returned != nil {
		t.Errorf("a second before its end: %+v", r)
	}
	over := start.Add(30 * time.Second)
	if r := g.Review(over); !r.Changed || !slices.Equal(r.Returned, []int{1}) {
		t.Errorf("at its end: %+v", r)
	}
	wantChoice(t, g, over, FromHealthy, 0, 1, 2)
	if d := g.Describe(targets[1], over); d != (Description{Share: 1, Ejections: 1}) {
		t.Errorf("%+v", d)
	}
}

func TestAfterAnEjectionFailuresAreCountedAnew(t *testing.T) {
	g, targets := newGroup(Rules{Passive: passive(PassiveHealth{Failures: 2, Ejection: time.Second})}, 2)
	one, other := targets[0], targets[1]
	fail := func(target *Target, when string, want int) {
		t.Helper()
		if n := target.Report(Failed); n != want {
			t.Errorf("%s: %d failures in a row, want %d", when, n, want)
		}
	}
	for _, target := range targets {
		fail(target, "the first", 0)
		fail(target, "the second", 2)
	}
	if !g.Eject(one, start).Done || !g.Eject(other, start).Spared {
		t.Fatal("not one of two was ejected")
	}
	fail(other, "one that was spared", 0)
	fail(one, "one that is out", 0)
	fail(one, "one that is out", 2)
	g.Review(start.Add(time.Second))
	fail(one, "one that is back", 0)
}

func TestATargetWithoutWeightIsNoReasonToEjectAnother(t *testing.T) {
	g, targets := newGroup(Rules{Passive: passive(PassiveHealth{})}, 2)
	targets[1].Terms.Weight = 0
	if e := g.Eject(targets[0], start); e != (Ejection{Spared: true, Healthy: 1}) {
		t.Errorf("the only one that is to have requests: %+v", e)
	}
}

func TestOneTargetAlwaysStays(t *testing.T) {
	for _, c := range []struct{ targets, percent, ejected int }{{4, 50, 2}, {4, 100, 3}, {1, 100, 0}, {3, 1, 1}} {
		g, targets := newGroup(Rules{Passive: passive(PassiveHealth{MaxEjected: c.percent})}, c.targets)
		for i, target := range targets {
			want := Ejection{Done: true, Ejected: i, Healthy: c.targets}
			if i >= c.ejected {
				want = Ejection{Spared: true, Ejected: c.ejected, Healthy: c.targets}
			}
			if e := g.Eject(target, start); e != want {
				t.Errorf("target %d of %d, %d%% at most: %+v, want %+v", i, c.targets, c.percent, e, want)
			}
		}
		if in, _ := g.Choose(start); len(in) != c.targets-c.ejected {
			t.Errorf("of %d targets %v stay, %d%% at most may go", c.targets, in, c.percent)
		}
	}
}

func TestWithoutPassiveHealthNobodyIsEjected(t *testing.T) {
	g, targets := newGroup(Rules{}, 2)
	for range 100 {
		if n := targets[0].Report(Failed); n != 0 {
			t.Fatalf("%d failures are a reason", n)
		}
	}
	if e := g.Eject(targets[0], start); e != (Ejection{}) { // reported under the rules before
		t.Errorf("%+v", e)
	}
}

// Whoever has the group changes it while exchanges end, and none of them is lost.
func TestReportNeedsNoLock(t *testing.T) {
	rules := Rules{AnomalyMitigation: true, Passive: passive(PassiveHealth{Failures: 3, Ejection: time.Second})}
	g, targets := newGroup(rules, 3)
	const workers, each = 4, 1000
	var reporting sync.WaitGroup
	for range workers {
		reporting.Go(func() {
			for n := range each {
				targets[0].Report(500 + n%5)
			}
		})
	}
	for n := range 200 {
		now := start.Add(time.Duration(n) * time.Second)
		g.Eject(targets[0], now)
		g.Apply(rules, targets, now)
		g.Review(now)
	}
	reporting.Wait()
	if n := targets[0].exchanges.Load(); n != workers*each {
		t.Errorf("%d exchanges were counted, want %d", n, workers*each)
	}
}

func TestReportAllocatesNothing(t *testing.T) {
	_, targets := newGroup(Rules{AnomalyMitigation: true, Passive: passive(PassiveHealth{})}, 3)
	if n := testing.AllocsPerRun(1000, func() {
		targets[0].Report(200)
		targets[1].Report(Failed)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
