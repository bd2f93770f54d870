package upstream

import (
	"net/netip"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/sticky"
)

var sources = func() (all []netip.Addr) {
	for n := range 40 {
		all = append(all, netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}))
	}
	return all
}()

func TestStickinessKeepsAClientAtTheTargetThatServedIt(t *testing.T) {
	f := newFleet(t)
	config := GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"},
		Stickiness: &Stickiness{By: "client", Duration: time.Minute}}
	g := f.apply(t, config)["api"]
	ask := func(a Asker, not ...*Target) *Target {
		tg, denial := g.Pick(a, not...)
		if denial != nil {
			t.Fatal(denial)
		}
		return tg
	}
	one, other := Asker{Client: 1, Source: sources[0]}, Asker{Source: sources[1]}
	home, second := ask(one), ask(other)
	if home == second {
		t.Fatalf("two clients in turn were both served by %s", home.Address())
	}
	for range 5 {
		if ask(one) != home || ask(other) != second {
			t.Fatal("a client was served by another target")
		}
	}
	if moved := ask(one, home); moved == home {
		t.Error("the target that failed was picked again")
	} else if ask(one) != moved {
		t.Error("a client that had to move does not stay where it went")
	} else {
		home = moved
	}
	g = f.apply(t, config)["api"]
	if ask(one) != home {
		t.Error("a reload has forgotten where clients are")
	}
	config.Targets = config.Targets[:0]
	for _, tg := range []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"} {
		if tg != home.Address() {
			config.Targets = append(config.Targets, tg)
		}
	}
	g = f.apply(t, config)["api"]
	next := ask(one)
	if next == home {
		t.Error("a target that was removed serves")
	}
	f.forward.Add(int64(2 * time.Minute))
	seen := map[*Target]bool{}
	for range 2 {
		a := Asker{Client: 1}
		seen[ask(a)] = true
		f.forward.Add(int64(2 * time.Minute))
	}
	if len(seen) != 2 {
		t.Error("a client that comes after the duration is still kept")
	}
}

func TestACookieNamesATarget(t *testing.T) {
	keys, err := sticky.NewKeys(make([]byte, sticky.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80"},
		Stickiness: &Stickiness{By: "cookie", Cookie: &sticky.Cookie{Name: "stay", Keys: keys, Duration: time.Hour}}})["api"]
	first := pick(t, g)
	for range 4 {
		if tg, _ := g.Pick(Asker{Cookie: first.Mark()}); tg != first {
			t.Fatalf("a client with the cookie of %s was served by %s", first.Address(), tg.Address())
		}
	}
	if tg, _ := g.Pick(Asker{Cookie: first.Mark()}, first); tg == first {
		t.Error("the target that failed was picked again")
	}
	if tg, denial := g.Pick(Asker{Cookie: uint64(balance.KeyOfString("192.0.2.9:80"))}); denial != nil || tg == nil {
		t.Errorf("the cookie of a target that is gone: %v", denial)
	}
	if g.Cookie() == nil || !g.Personal() || g.Waits() {
		t.Error("the group does not say what it goes by")
	}
}
