package upstream

import (
	"math"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health/healthtest"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// picks counts how often each target is picked in n picks, by address.
func picks(t testing.TB, g *Group, n int) map[string]int {
	t.Helper()
	picked := map[string]int{}
	for range n {
		tg := pick(t, g)
		picked[tg.Address()]++
		g.Done(tg)
	}
	return picked
}

func TestWeightsShareOutRequests(t *testing.T) {
	f := newFleet(t)
	config := GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"},
		Terms: map[string]shares.Terms{"192.0.2.1:80": {Weight: 3}, "192.0.2.3:80": {Weight: 0}}}
	got := picks(t, f.apply(t, config)["api"], 400)
	if got["192.0.2.3:80"] != 0 || math.Abs(float64(got["192.0.2.1:80"]-300)) > 4 {
		t.Errorf("with weights 3, 1 and 0: %v", got)
	}
	config.Terms = nil
	got = picks(t, f.apply(t, config)["api"], 300)
	for address, n := range got {
		if n != 100 {
			t.Errorf("without weights %s has %d of 300", address, n)
		}
	}
}

func TestNobodyHasAnythingToServe(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80"}, Terms: map[string]shares.Terms{"192.0.2.1:80": {}}, FailOpen: true})["api"]
	if _, denial := g.Pick(Asker{}); denial == nil || denial.Reason != `target group "api": the weight of all its 1 targets is 0` {
		t.Errorf("got %v", denial)
	}
}

func TestTargetsOfTheOwnZoneComeFirst(t *testing.T) {
	f := newFleet(t)
	here, there := newBackend(t, 200), newBackend(t, 200)
	config := GroupConfig{Name: "api", Targets: []string{here.address(), there.address()}, Health: rarely(), Zone: "a",
		Terms: map[string]shares.Terms{here.address(): {Weight: 1, Zone: "a"}, there.address(): {Weight: 1, Zone: "b"}}}
	g := f.apply(t, config)["api"]
	f.awaitHealth(t, 2)
	if got := picks(t, g, 10); len(got) != 2 {
		t.Errorf("across zones: %v", got)
	}
	config.OwnZone = true
	g = f.apply(t, config)["api"]
	if got := picks(t, g, 10); got[here.address()] != 10 {
		t.Errorf("within the zone: %v", got)
	}
	here.status.Store(500)
	f.check(t, g, here.address())
	f.check(t, g, here.address())
	if got := picks(t, g, 10); got[there.address()] != 10 {
		t.Errorf("without a healthy target in the zone: %v", got)
	}
	if reasons := f.Unwell([]string{"api"}); len(reasons) != 0 {
		t.Errorf("unwell: %v", reasons)
	}
}

// awaitHealth waits for n changes of health.
func (f *testFleet) awaitHealth(t testing.TB, n int) {
	t.Helper()
	for range n {
		select {
		case <-f.health:
		case <-time.After(patience):
			t.Fatal("no health check has ended")
		}
	}
}

func TestATargetThatBecomesHealthyStartsSlowly(t *testing.T) {
	f := newFleet(t)
	old, young := newBackend(t, 200), newBackend(t, 500)
	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{old.address(), young.address()}, Health: rarely(), SlowStart: 100 * time.Second})["api"]
	f.awaitHealth(t, 2)
	young.status.Store(200)
	f.check(t, g, young.address())
	f.check(t, g, young.address())
	share := func() int { return picks(t, g, 1000)[young.address()] }
	status := func() TargetStatus {
		for _, s := range g.Targets() {
			if s.Address == young.address() {
				return s
			}
		}
		return TargetStatus{}
	}
	if got := share(); got < 20 || got > 80 || !status().SlowStart {
		t.Errorf("at first it gets %d of 1000, %+v; want a twentieth of its share", got, status())
	}
	f.pass(t, 50*time.Second)
	if got := share(); got < 280 || got > 390 {
		t.Errorf("half way it gets %d of 1000, want about 333: half of what the other gets", got)
	}
	f.pass(t, 51*time.Second)
	if got := share(); got < 495 || got > 505 || status().SlowStart || status().Share != 1 {
		t.Errorf("in the end it gets %d of 1000, %+v; want its share", got, status())
	}
}

// pass lets time pass, and the targets what it brings.
func (f *testFleet) pass(t testing.TB, d time.Duration) {
	t.Helper()
	f.forward.Add(int64(d))
	f.sweep(f.now())
}

func TestTheOnlyHealthyTargetDoesNotStartSlowly(t *testing.T) {
	f := newFleet(t)
	b := newBackend(t, 200)
	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{healthtest.Refusing(t), b.address()}, Health: rarely(), SlowStart: time.Hour})["api"]
	f.awaitHealth(t, 2)
	for _, s := range g.Targets() {
		if s.SlowStart {
			t.Errorf("%+v", s)
		}
	}
}

func TestTargetsThatComeTogetherBeginTogether(t *testing.T) {
	f := newFleet(t)
	a, b, late := newBackend(t, 200), newBackend(t, 200), newBackend(t, 200)
	config := GroupConfig{Name: "api", Targets: []string{a.address(), b.address()}, Health: rarely(), SlowStart: time.Hour}
	g := f.apply(t, config)["api"]
	f.awaitHealth(t, 2)
	if got := picks(t, g, 100); got[a.address()] != 50 {
		t.Errorf("at the start of the group: %v", got)
	}
	config.Targets = append(config.Targets, late.address())
	g = f.apply(t, config)["api"]
	f.awaitHealth(t, 1)
	if got := picks(t, g, 1000)[late.address()]; got > 60 || got == 0 {
		t.Errorf("one that comes later gets %d of 1000", got)
	}
}

func TestATargetThatFailsMoreThanTheOthersGetsLess(t *testing.T) {
	f := newFleet(t)
	targets := []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80"}
	g := f.apply(t, GroupConfig{Name: "api", Targets: targets, Algorithm: "weighted_random", AnomalyMitigation: true})["api"]
	serve := func(failing string) int {
		n := 0
		for range 1000 {
			tg := pick(t, g)
			if tg.Address() == failing {
				n++
				tg.Report(500)
			} else {
				tg.Report(200)
			}
		}
		f.pass(t, 10*time.Second)
		return n
	}
	first := serve("192.0.2.2:80")
	for range 4 {
		serve("192.0.2.2:80")
	}
	if last := serve("192.0.2.2:80"); last > first/3 || last == 0 {
		t.Errorf("it got %d of 1000 before its failures were noticed and %d afterwards", first, last)
	}
	if s := g.Targets()[1]; !s.Anomalous || s.Share != 1./16 {
		t.Errorf("%+v", s)
	}
	for range 10 {
		serve("")
	}
	if s := g.Targets()[1]; s.Anomalous || s.Share != 1 {
		t.Errorf("when it fails no more: %+v", s)
	}
}

func TestHashKeepsAClientAtItsTarget(t *testing.T) {
	targets := []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80"}
	for on, asker := range map[string]func(n int) Asker{
		"client":        func(n int) Asker { return Asker{Client: balance.Key(n + 1)} },
		"source_ip":     func(n int) Asker { return Asker{Source: sources[n], Client: balance.Key(time.Now().UnixNano())} },
		"flow":          func(n int) Asker { return Asker{Flow: balance.Key(n + 1)} },
		"header:x-user": func(n int) Asker { return Asker{Header: []byte{byte(n + 1)}} },
	} {
		t.Run(on, func(t *testing.T) {
			g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: targets, Algorithm: "hash", HashOn: on})["api"]
			used := map[string]bool{}
			for n := range len(sources) {
				var home *Target
				for range 5 {
					tg, denial := g.Pick(asker(n))
					if denial != nil {
						t.Fatal(denial)
					}
					g.Done(tg)
					if home != nil && home != tg {
						t.Fatalf("client %d went to %s and %s", n, home.Address(), tg.Address())
					}
					home = tg
				}
				used[home.Address()] = true
			}
			if len(used) < 3 {
				t.Errorf("%d clients are at %d targets", len(sources), len(used))
			}
		})
	}
	if _, err := newFleet(t).Apply([]GroupConfig{{Name: "api", Algorithm: "hash", HashOn: "header:"}}); err == nil {
		t.Error("a header without a name was taken")
	}
}
