package resolve_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/resolve"
	"countersign.dev/internal/traffic/forward/upstream/resolve/resolvetest"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

func at(ttl uint32, address string) resolvetest.Record {
	return resolvetest.Record{TTL: ttl, Address: netip.MustParseAddr(address)}
}

func TestAddressesAreFoundForAsLongAsTheyLive(t *testing.T) {
	s := resolvetest.New(t)
	s.Set("api.example.com", at(60, "192.0.2.2"), at(7, "192.0.2.1"), at(30, "2001:db8::1"))
	s.Set("six.example.com", at(90, "2001:db8::2"))
	r := resolve.Resolver{Dial: s.Dial}
	for _, truncated := range []bool{false, true} { // then it is asked again by TCP
		s.Truncate(truncated)
		found, next, err := r.Resolve(t.Context(), "dns:api.example.com:8080")
		if diff := cmp.Diff([]resolve.Endpoint{{"192.0.2.1:8080", 1}, {"192.0.2.2:8080", 1}}, found); diff != "" || err != nil {
			t.Errorf("truncated %v: %v\n%s", truncated, err, diff)
		}
		if next != 7*time.Second {
			t.Errorf("truncated %v: the next question in %v, want 7s: the shortest time to live", truncated, next)
		}
	}
	found, next, err := r.Resolve(t.Context(), "dns:six.example.com:8080")
	if diff := cmp.Diff([]resolve.Endpoint{{"[2001:db8::2]:8080", 1}}, found); diff != "" || err != nil || next != 90*time.Second {
		t.Errorf("%v, next in %v\n%s", err, next, diff)
	}
}

func TestServicesAreFoundWithPortsAndWeights(t *testing.T) {
	s := resolvetest.New(t)
	s.Set("_http._tcp.example.com",
		resolvetest.Record{TTL: 50, Host: "a.example.com.", Port: 81, Priority: 1, Weight: 5},
		resolvetest.Record{TTL: 50, Host: "b.example.com.", Port: 82, Priority: 1, Weight: 0},
		resolvetest.Record{TTL: 50, Host: "spare.example.com.", Port: 83, Priority: 2, Weight: 9})
	s.Set("a.example.com", at(40, "192.0.2.1"), at(40, "192.0.2.2"))
	s.Set("b.example.com", at(45, "192.0.2.3"))
	found, next, err := resolve.Resolver{Dial: s.Dial}.Resolve(t.Context(), "srv:_http._tcp.example.com")
	want := []resolve.Endpoint{{"192.0.2.1:81", 5}, {"192.0.2.2:81", 5}, {"192.0.2.3:82", 1}}
	if diff := cmp.Diff(want, found); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if next != 40*time.Second {
		t.Errorf("the next question in %v, want 40s", next)
	}
}

func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	s := resolvetest.New(t)
	s.Set("empty.example.com")
	s.Set("_gone._tcp.example.com", resolvetest.Record{TTL: 1, Host: ".", Port: 0})
	r := resolve.Resolver{Dial: s.Dial}
	for name, want := range map[string]string{
		"dns:nobody.example.com:80":  "no such host",
		"dns:empty.example.com:80":   "no such host",
		"srv:_gone._tcp.example.com": "decidedly not available",
	} {
		found, next, err := r.Resolve(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), want) || found != nil || next != 5*time.Second {
			t.Errorf("%s: %v, %v, next in %v; want %q, and to ask again in 5s", name, found, err, next, want)
		}
	}
	s.Fail(dnsmessage.RCodeServerFailure)
	s.Set("api.example.com", at(60, "192.0.2.2"))
	if _, _, err := r.Resolve(t.Context(), "dns:api.example.com:80"); err == nil {
		t.Error("a server that fails has given an answer")
	}
}

func TestShortLivesAreNotTakenAtTheirWord(t *testing.T) {
	s := resolvetest.New(t)
	for ttl, want := range map[uint32]time.Duration{0: time.Second, 1 << 30: time.Hour} {
		s.Set("api.example.com", at(ttl, "192.0.2.1"))
		if _, next, err := (resolve.Resolver{Dial: s.Dial}).Resolve(t.Context(), "dns:api.example.com:80"); err != nil || next != want {
			t.Errorf("time to live %d: next in %v, %v; want %v", ttl, next, err, want)
		}
	}
}

func TestHostsFileNeedsNoServer(t *testing.T) {
	found, next, err := resolve.System(t.Context(), "dns:localhost:80")
	if err != nil || len(found) != 1 || found[0].Address != "127.0.0.1:80" {
		t.Skipf("localhost is %v here, %v", found, err)
	}
	if next != 30*time.Second {
		t.Errorf("next in %v, want 30s: nobody says how long it is good", next)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"dns:api.example.com:80": "", "dns:localhost:65535": "", "srv:_http._tcp.example.com": "", "dns:a_b.example.com.:80": "",
		"dns:api.example.com": "missing port", "dns::80": "no host name", "dns:10.0.0.1:80": "no host name", "dns:[::1]:80": "no host name",
		"dns:api:0": "not a number", "dns:a..b:80": "no host name", "srv:http.tcp.example.com": "want srv:_SERVICE", "srv:_http._tcp": "want srv:_SERVICE",
		"srv:_http._tcp.exa mple.com": "want srv:_SERVICE",
	} {
		err := resolve.Check(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if !resolve.IsName(name) {
			t.Errorf("%s is no name", name)
		}
	}
	if resolve.IsName("api.example.com:80") || resolve.IsName("10.0.0.1:80") {
		t.Error("an address is a name")
	}
}
