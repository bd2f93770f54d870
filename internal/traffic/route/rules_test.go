package route_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/condition/conditiontest"
	"countersign.dev/internal/wire/http1"
)

// taken says which rule takes q: its priority, 0 for the default, or the code of the refusal.
func taken(table *route.Table, q *condition.Question) string {
	action, denial := table.Match(q)
	switch {
	case denial != nil:
		return string(denial.Code)
	case action.Rule == nil:
		return "0"
	}
	return fmt.Sprint(action.Rule.Priority)
}

func table(whens ...*condition.Set) *route.Table {
	var list []route.Rule
	for i, when := range whens {
		list = append(list, route.Rule{Priority: i + 1, When: when, Action: route.Action{Forward: new(upstream.Group)}})
	}
	return &route.Table{Rules: route.Compile(list), Default: route.Action{Forward: new(upstream.Group)}}
}

func TestTheFirstRuleThatMatchesTakes(t *testing.T) {
	routes := table(
		&condition.Set{Path: conditiontest.Patterns(t, false, "/a/b*")},
		&condition.Set{Path: conditiontest.Patterns(t, false, "/a/*")},
		&condition.Set{Path: conditiontest.Patterns(t, false, "/a/b/c")},
	)
	for path, want := range map[string]string{"/a/b/c": "1", "/a/c": "2", "/b": "0"} {
		if got := taken(routes, &condition.Question{Request: conditiontest.Request(t, "GET "+path+" HTTP/1.1", "Host: x"), Client: identify.Anonymous()}); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// A path that can be read in ways that lead to different rules is refused, however
// it is spelled; one that leads to the same rule is not.
func TestNoRuleIsEvadedBySpelling(t *testing.T) {
	routes := table(
		&condition.Set{Path: conditiontest.Patterns(t, false, "/ops/*")},
		&condition.Set{Path: conditiontest.Patterns(t, false, "/public/*")},
		&condition.Set{Path: conditiontest.Patterns(t, false, "/caf%C3%A9/*")},
	)
	const refused = string(countersign.AmbiguousPath)
	for path, want := range map[string]string{
		"/ops/x": "1", "/%6Fps/x": "1", "/o%70s/x": "1", "/ops/a/../b": "1", "/ops/./x": "1", "/ops//x": "1", "/ops/a%2Fb": "1", "/ops/a;v=1/b": "1",
		"/ops/..;/x": refused, "/public/../ops/x": refused, "/public/%2e%2e/ops/x": refused, "/public/.%2E/ops/x": refused, "/public/..%2fops/x": refused,
		"/public/..%5cops/x": refused, "/public/..\\ops\\x": refused, "/public/..%252fops/x": refused, "/public/%252e%252e/ops/x": refused,
		"/public/..;/ops/x": refused, "/public/..;a=b/ops/x": refused, "//ops/x": refused, "/./ops/x": refused, "/x/../ops/x": refused, "/ops;x/y": refused,
		"/ops%2Fx": refused, "/%2Fops/x": refused, "/\\ops/x": refused, "/ops%3B/x": refused, "/ops/../x": refused, "/public/../x": refused,
		"/public/%00": refused, "/public/%0d%0aX": refused, "/public/..%c0%afops/x": refused, "/x%00": refused,
		"/public/a%2Fb": "2", "/public/a;b": "2", "/public/a%20b": "2", "/public/100%25": "2", "/x/a%2Fb": "0", "/x//y;z/../w": "0",
		"/caf%c3%a9/x": "3", "/caf%C3%A9/x": "3",
	} {
		q := &condition.Question{Request: conditiontest.Request(t, "GET "+path+" HTTP/1.1", "Host: x"), Client: identify.Anonymous()}
		if got := taken(routes, q); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// Where no rule is about paths, they are the target's alone.
func TestPathsAreLeftAloneWhereNoRuleIsAboutThem(t *testing.T) {
	routes := table(&condition.Set{Method: []string{"GET"}})
	for _, path := range []string{"/a/%00", "//a/../b", "/%c0%af"} {
		if got := taken(routes, &condition.Question{Request: conditiontest.Request(t, "GET "+path+" HTTP/1.1", "Host: x"), Client: identify.Anonymous()}); got != "1" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// Bytes have a server name, a source and a client, and nothing else.
func TestBytesAreRouted(t *testing.T) {
	routes := table(
		&condition.Set{Host: conditiontest.Patterns(t, true, "mqtt.example.com", "regex:^x[0-9]$")},
		&condition.Set{Source: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}},
	)
	for _, tt := range []struct{ name, source, want string }{
		{"mqtt.example.com", "192.0.2.1", "1"}, {"x7", "192.0.2.1", "1"}, {"", "2001:db8::1", "2"}, {"", "192.0.2.1", "0"}, {"other", "192.0.2.1", "0"},
	} {
		if got := taken(routes, &condition.Question{ServerName: tt.name, Source: netip.MustParseAddr(tt.source), Client: identify.Anonymous()}); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

func TestSharesAreByWeight(t *testing.T) {
	blue, green, none := new(upstream.Group), new(upstream.Group), new(upstream.Group)
	routes := &route.Table{Rules: route.Compile([]route.Rule{{Priority: 1, Shares: []route.Share{{Group: blue, Weight: 90}, {Group: none}, {Group: green, Weight: 10}}}})}
	got := map[*upstream.Group]int{}
	q := &condition.Question{Request: conditiontest.Request(t, "GET / HTTP/1.1", "Host: x"), Client: identify.Anonymous()}
	const n = 20_000
	for range n {
		action, denial := routes.Match(q)
		if denial != nil {
			t.Fatal(denial)
		}
		got[action.Forward]++
	}
	// Five standard deviations are 212.
	if g := got[green]; g < n/10-250 || g > n/10+250 || got[none] != 0 || got[blue]+g != n {
		t.Errorf("blue %d, green %d, none %d", got[blue], g, got[none])
	}
}

// hundred are rules with conditions of every kind, none of which the question meets.
func hundred(t testing.TB) *route.Table {
	var whens []*condition.Set
	for i := range 100 {
		c := &condition.Set{}
		switch i % 10 {
		case 0:
			c.Path = conditiontest.Patterns(t, false, fmt.Sprintf("/area-%d/*", i))
		case 1:
			c.Host = conditiontest.Patterns(t, true, fmt.Sprintf("*.host-%d.example.com", i), fmt.Sprintf("host-%d.example.com", i))
		case 2:
			c.Method, c.Path = []string{"DELETE", "PUT"}, conditiontest.Patterns(t, false, "/*")
		case 3:
			c.Header = []condition.Named{{Name: fmt.Sprintf("x-beta-%d", i%4), Values: conditiontest.Patterns(t, true, "on*")}}
		case 4:
			c.Query = []condition.Named{{Name: "version", Values: conditiontest.Patterns(t, true, fmt.Sprint(i))}}
		case 5:
			c.Source = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)}
		case 6:
			c.Client = &condition.Client{SubjectCN: conditiontest.Patterns(t, false, fmt.Sprintf("ops-%d-*", i))}
		case 7:
			c.Client = &condition.Client{SANURI: conditiontest.Patterns(t, false, fmt.Sprintf("spiffe://ops/%d/*", i)), IssuerCN: conditiontest.Patterns(t, false, "Ops CA")}
		case 8:
			c.Method, c.Path = []string{"POST"}, conditiontest.Patterns(t, false, fmt.Sprintf("regex:^/r%d/[a-z]+/[0-9]{1,9}$", i))
		case 9:
			c.Path, c.Not = conditiontest.Patterns(t, false, fmt.Sprintf("/n%d/*/x", i)), &condition.Set{Method: []string{"GET"}}
		}
		whens = append(whens, c)
	}
	return table(whens...)
}

func asked(t testing.TB) *condition.Question {
	ca := testpki.NewRoot(t, "Fleet CA")
	return &condition.Question{
		Request: conditiontest.Request(t, "GET /api/v1/things/4711?page=2&version=7&sort=name HTTP/1.1", "Host: api.example.com", "User-Agent: curl/8.5.0", "Accept: */*",
			"Accept-Encoding: gzip", "X-Beta-3: off", "X-Request-Id: 0123456789abcdef", "Cookie: session=0123456789abcdef0123456789abcdef"),
		Source: netip.MustParseAddr("192.0.2.7"), Client: conditiontest.Client(t, ca.X509, ca.Client("MacID-AA:BB:CC:DD:EE:FF", testpki.URI("spiffe://fleet/a")).Chain()),
	}
}

func TestMatchingAHundredRulesAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector lets pools forget")
	}
	routes, q := hundred(t), asked(t)
	if got := taken(routes, q); got != "0" {
		t.Fatalf("taken by %s", got)
	}
	if n := testing.AllocsPerRun(200, func() { routes.Match(q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	q.Request = conditiontest.Request(t, "GET /caf%c3%a9//x;y/%2F?a=%20+b HTTP/1.1", "Host: x")
	if n := testing.AllocsPerRun(200, func() { routes.Match(q) }); n != 0 {
		t.Errorf("%v allocations for a path that can be read in several ways", n)
	}
}

func BenchmarkMatchAHundredRules(b *testing.B) {
	routes, q := hundred(b), asked(b)
	b.ReportAllocs()
	for b.Loop() {
		routes.Match(q)
	}
}

// Whatever is asked, the rules decide, and twice the same.
func FuzzMatch(f *testing.F) {
	f.Add("/public/..%2fops/x", "a=%20&b", "x.example.com:1", "on")
	f.Add("/ops;x//..", "", "[::1]", "")
	routes := table(
		&condition.Set{Path: conditiontest.Patterns(f, false, "/ops/*", "regex:^/r[0-9]+$"), Host: conditiontest.Patterns(f, true, "*.example.com", "regex:^[a-z]+$")},
		&condition.Set{Query: []condition.Named{{Name: "a", Values: conditiontest.Patterns(f, true, "*b*")}}},
		&condition.Set{Header: []condition.Named{{Name: "x-beta", Values: conditiontest.Patterns(f, true, "o?")}}, Not: &condition.Set{Path: conditiontest.Patterns(f, false, "/public/*")}},
	)
	f.Fuzz(func(t *testing.T, path, query, host, header string) {
		q := new(http1.Request)
		head := "GET " + path + "?" + query + " HTTP/1.1\r\nHost: " + host + "\r\nX-Beta: " + header + "\r\n\r\n"
		if _, err := q.Parse([]byte(head), http1.Limits{}); err != nil {
			return
		}
		question := &condition.Question{Request: q, Client: identify.Anonymous()}
		one, two := taken(routes, question), taken(routes, question)
		if one != two {
			t.Errorf("%q: %s, then %s", head, one, two)
		}
		if one == "1" && !strings.Contains(path, "/") {
			t.Errorf("%q is taken by the rule for /ops/", head)
		}
	})
}
