package upstream

import (
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health/healthtest"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

func TestATargetThatFailsIsLeftOutForAWhile(t *testing.T) {
	f := newFleet(t)
	targets := []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}
	g := f.apply(t, GroupConfig{Name: "api", Targets: targets, Passive: &shares.PassiveHealth{Failures: 3, Ejection: 30 * time.Second}})["api"]
	bad := pick(t, g)
	for _, status := range []int{503, 504, 200, 502, shares.Failed, 500, 503, 503} { // never three in a row
		bad.Report(status)
	}
	if got := picks(t, g, 30); got[bad.Address()] != 10 {
		t.Fatalf("before it failed three times in a row: %v", got)
	}
	bad.Report(503)
	if got := picks(t, g, 30); got[bad.Address()] != 0 {
		t.Fatalf("after it did: %v", got)
	}
	if s := g.Targets()[0]; s.EjectedUntil.IsZero() || s.Ejections != 1 || s.Share != 0 {
		t.Errorf("%+v", s)
	}
	f.pass(t, 29*time.Second)
	if got := picks(t, g, 30); got[bad.Address()] != 0 {
		t.Errorf("after 29 of 30 s: %v", got)
	}
	f.pass(t, time.Second)
	if got := picks(t, g, 30); got[bad.Address()] != 10 {
		t.Errorf("when its ejection is over: %v", got)
	}
}

func TestNotMoreThanAPartOfTheTargetsIsLeftOut(t *testing.T) {
	f := newFleet(t)
	targets := []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80"}
	g := f.apply(t, GroupConfig{Name: "api", Targets: targets, Passive: &shares.PassiveHealth{Failures: 1}})["api"]
	for range 2 * len(targets) {
		pick(t, g).Report(shares.Failed)
	}
	if got := picks(t, g, 30); len(got) != 2 {
		t.Errorf("all of 4 fail, max_ejected is half of them: %v are used", got)
	}
	g = f.apply(t, GroupConfig{Name: "api", Targets: targets[:1], Passive: &shares.PassiveHealth{Failures: 1, MaxEjected: 100}})["api"]
	pick(t, g).Report(shares.Failed)
	if got := picks(t, g, 3); len(got) != 1 {
		t.Errorf("the only one: %v", got)
	}
}

func TestConnectionsThatCannotBeMadeAreFailures(t *testing.T) {
	f := newFleet(t)
	s, gone := pooltest.NewServer(t), healthtest.Refusing(t)
	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{gone, s.Address}, Passive: &shares.PassiveHealth{Failures: 2}})["api"]
	for range 4 {
		tg := pick(t, g)
		if c, _, err := tg.Get(); err == nil {
			c.Release(false)
		}
	}
	if got := picks(t, g, 10); got[s.Address] != 10 {
		t.Errorf("got %v, want the one that answers alone", got)
	}
}

func TestWithoutPassiveHealthNobodyIsLeftOut(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80"}})["api"]
	for range 100 {
		pick(t, g).Report(shares.Failed)
	}
	if got := picks(t, g, 10); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}
