package upstream

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/resolve"
	"countersign.dev/internal/traffic/forward/upstream/resolve/resolvetest"
	"countersign.dev/internal/traffic/forward/upstream/shares"
	"golang.org/x/net/dns/dnsmessage"
)

// newNamed is a fleet that asks a server of the test's, often.
func newNamed(t testing.TB) (*Fleet, *resolvetest.Server) {
	t.Helper()
	s := resolvetest.New(t)
	r := resolve.Resolver{Dial: s.Dial}
	f := NewFleet(FleetConfig{Resolve: func(ctx context.Context, name string) ([]resolve.Endpoint, time.Duration, error) {
		found, _, err := r.Resolve(ctx, name)
		return found, 5 * time.Millisecond, err
	}})
	t.Cleanup(func() { f.Close(t.Context()) })
	return f, s
}

func named(t testing.TB, f *Fleet, c GroupConfig) *Group {
	t.Helper()
	groups, err := f.Apply([]GroupConfig{c})
	if err != nil {
		t.Fatal(err)
	}
	return groups[c.Name]
}

func records(addresses ...string) (all []resolvetest.Record) {
	for _, a := range addresses {
		all = append(all, resolvetest.Record{TTL: 1, Address: netip.MustParseAddr(a)})
	}
	return all
}

// awaitTargets waits until the group has these targets.
func awaitTargets(t testing.TB, g *Group, want ...string) {
	t.Helper()
	var got []string
	for by := time.Now().Add(patience); time.Now().Before(by); runtime.Gosched() {
		got = nil
		for _, s := range g.Targets() {
			got = append(got, s.Address)
		}
		if slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("the targets are %v, want %v", got, want)
}

func TestTargetsFollowANameWhileItChanges(t *testing.T) {
	f, s := newNamed(t)
	s.Set("api.example.com", records("192.0.2.1", "192.0.2.2")...)
	config := GroupConfig{Name: "api", Targets: []string{"192.0.2.9:80", "dns:api.example.com:80"}, Terms: map[string]shares.Terms{"dns:api.example.com:80": {Weight: 2, Zone: "a"}, "192.0.2.9:80": {Weight: 1}}}
	g := named(t, f, config)
	awaitTargets(t, g, "192.0.2.9:80", "192.0.2.1:80", "192.0.2.2:80") // from the beginning
	stays := g.Targets()[1]
	if stays.Name != "dns:api.example.com:80" || stays.Weight != 2 || stays.Zone != "a" {
		t.Errorf("%+v", stays)
	}
	if got := picks(t, g, 50); got["192.0.2.1:80"] < 17 || got["192.0.2.9:80"] > 13 {
		t.Errorf("with weight 1 and twice 2: %v", got)
	}
	s.Set("api.example.com", records("192.0.2.1", "192.0.2.3")...)
	awaitTargets(t, g, "192.0.2.9:80", "192.0.2.1:80", "192.0.2.3:80")
	if now := g.Targets()[1]; now.Since != stays.Since {
		t.Error("a target that stays was made anew")
	}
	config.Targets = config.Targets[:1]
	awaitTargets(t, named(t, f, config), "192.0.2.9:80")
	asked := s.Asked()
	named(t, f, config)
	if len(f.Status()[0].Names) != 0 {
		t.Errorf("%+v, asked %d times", f.Status()[0], asked)
	}
}

func TestTheLastGoodAnswerIsKept(t *testing.T) {
	f, s := newNamed(t)
	s.Set("api.example.com", records("192.0.2.1")...)
	g := named(t, f, GroupConfig{Name: "api", Targets: []string{"dns:api.example.com:80"}})
	awaitTargets(t, g, "192.0.2.1:80")
	state := func() NameStatus { return f.Status()[0].Names[0] }
	await := func(what string, is func(NameStatus) bool) {
		t.Helper()
		for by := time.Now().Add(patience); !is(state()); runtime.Gosched() {
			if time.Now().After(by) {
				t.Fatalf("%s: %+v", what, state())
			}
		}
	}
	s.Fail(dnsmessage.RCodeServerFailure)
	await("the failure does not show", func(n NameStatus) bool { return n.Error != "" && n.Targets == 1 })
	if pick(t, g).Address() != "192.0.2.1:80" {
		t.Error("the target is gone")
	}
	s.Fail(0)
	await("the answer does not show", func(n NameStatus) bool { return n.Error == "" && n.Targets == 1 })
}

func TestANameThatWasNeverResolvedIsTheReasonOfARefusal(t *testing.T) {
	f, s := newNamed(t)
	g := named(t, f, GroupConfig{Name: "api", Targets: []string{"dns:api.example.com:80"}})
	_, denial := g.Pick(Asker{})
	if denial == nil || !strings.Contains(denial.Reason, `target group "api": it has no targets: dns:api.example.com:80: `) || !strings.Contains(denial.Reason, "no such host") {
		t.Errorf("got %v", denial)
	}
	s.Set("api.example.com", records("192.0.2.1")...)
	awaitTargets(t, g, "192.0.2.1:80")
	pick(t, g)
}

func TestServicesHaveWeights(t *testing.T) {
	f, s := newNamed(t)
	s.Set("_http._tcp.example.com",
		resolvetest.Record{TTL: 1, Host: "a.example.com.", Port: 81, Weight: 3},
		resolvetest.Record{TTL: 1, Host: "b.example.com.", Port: 82, Weight: 1})
	s.Set("a.example.com", records("192.0.2.1")...)
	s.Set("b.example.com", records("192.0.2.2")...)
	g := named(t, f, GroupConfig{Name: "api", Targets: []string{"srv:_http._tcp.example.com"}})
	if got := picks(t, g, 400); got["192.0.2.1:81"] < 296 || got["192.0.2.2:82"] < 96 {
		t.Errorf("with weights 3 and 1: %v", got)
	}
}
