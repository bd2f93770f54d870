package route_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/pattern"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/wire/http1"
)

func patterns(t testing.TB, fold bool, texts ...string) (all []*pattern.Pattern) {
	t.Helper()
	for _, text := range texts {
		p, err := pattern.Compile(text, fold)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// parse returns the head of a request, as it comes over the network.
func parse(t testing.TB, lines ...string) *http1.Request {
	t.Helper()
	q := new(http1.Request)
	if _, err := q.Parse([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), http1.Limits{}); err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	return q
}

func client(t testing.TB, ca *testpki.Certificate, name string, options ...testpki.Option) identify.Client {
	t.Helper()
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{ca.X509}})
	if err != nil {
		t.Fatal(err)
	}
	chain, denial := store.Verify(ca.Client(name, options...).Chain(), verify.Options{})
	if denial != nil {
		t.Fatal(denial)
	}
	c, denial := identify.From(chain)
	if denial != nil {
		t.Fatal(denial)
	}
	return c
}

// taken says which rule takes q: its priority, 0 for the default, or the code of the refusal.
func taken(table *route.Table, q *route.Question) string {
	action, denial := table.Match(q)
	switch {
	case denial != nil:
		return string(denial.Code)
	case action.Rule == nil:
		return "0"
	}
	return fmt.Sprint(action.Rule.Priority)
}

// one returns a table with one rule, beside a default.
func one(when *route.Conditions) *route.Table {
	return table(when)
}

func table(whens ...*route.Conditions) *route.Table {
	var list []route.Rule
	for i, when := range whens {
		list = append(list, route.Rule{Priority: i + 1, When: when, Action: route.Action{Forward: new(upstream.Group)}})
	}
	return &route.Table{Rules: route.Compile(list), Default: route.Action{Forward: new(upstream.Group)}}
}

func TestEachConditionIsMetByItsOwn(t *testing.T) {
	ca := testpki.NewRoot(t, "Ops CA")
	ops := client(t, ca, "ops-1", testpki.OU("ops"), testpki.DNS("A.ops"), testpki.URI("spiffe://ops/a"))
	id := ops.Identity()
	yes, no := true, false
	named := func(name string, values ...string) []route.Named {
		return []route.Named{{Name: name, Values: patterns(t, true, values...)}}
	}
	const get = "GET /a?v=2&w=%61+b&v=3 HTTP/1.1"
	for name, tt := range map[string]struct {
		when     *route.Conditions
		yes, not []string // the lines of a request each, between |
		client   identify.Client
		source   string
	}{
		"host": {when: &route.Conditions{Host: patterns(t, true, "*.example.com", "[::1]")},
			yes: []string{get + "|Host: a.example.com", get + "|Host: A.Example.COM:8443", get + "|Host: a.example.com.", get + "|Host: [::1]:80",
				"GET http://b.example.com/x HTTP/1.1|Host: b.example.com"},
			not: []string{get + "|Host: example.com", get + "|Host: a.example.com.evil", "GET / HTTP/1.0"}},
		"path": {when: &route.Conditions{Path: patterns(t, false, "/a/*", "/b")},
			yes: []string{"GET /a/ HTTP/1.1|Host: x", "GET /a/b?c HTTP/1.1|Host: x", "GET /b?c HTTP/1.1|Host: x", "GET http://x/b HTTP/1.1|Host: x"},
			not: []string{"GET /a HTTP/1.1|Host: x", "GET /A/ HTTP/1.1|Host: x", "GET /?/a/ HTTP/1.1|Host: x", "OPTIONS * HTTP/1.1|Host: x"}},
		"regex": {when: &route.Conditions{Path: patterns(t, false, "regex:^/v[0-9]+/")},
			yes: []string{"GET /v12/x HTTP/1.1|Host: x"}, not: []string{"GET /vx/ HTTP/1.1|Host: x"}},
		"method": {when: &route.Conditions{Method: []string{"PUT", "DELETE"}},
			yes: []string{"PUT / HTTP/1.1|Host: x"}, not: []string{"GET / HTTP/1.1|Host: x", "put / HTTP/1.1|Host: x"}},
		"query": {when: &route.Conditions{Query: named("v", "3")}, yes: []string{get + "|Host: x", "GET /?V=3 HTTP/1.1|Host: x", "GET /?%76=%33 HTTP/1.1|Host: x"},
			not: []string{"GET / HTTP/1.1|Host: x", "GET /?v=33 HTTP/1.1|Host: x", "GET /?w=3 HTTP/1.1|Host: x", "GET /?v HTTP/1.1|Host: x"}},
		"query, decoded": {when: &route.Conditions{Query: named("w", "A B")}, yes: []string{get + "|Host: x"}, not: []string{"GET /?w=a%2Bb HTTP/1.1|Host: x"}},
		"header": {when: &route.Conditions{Header: named("x-beta", "on", "y*")},
			yes: []string{get + "|Host: x|X-Beta: on", get + "|Host: x|x-beta: no|X-BETA: Yes"},
			not: []string{get + "|Host: x", get + "|Host: x|X-Beta: no", get + "|Host: x|X_Beta: on"}},
		"header of any value": {when: &route.Conditions{Header: named("x-beta", "*")},
			yes: []string{get + "|Host: x|X-Beta:"}, not: []string{get + "|Host: x"}},
		"source": {when: &route.Conditions{Source: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, source: "10.1.2.3", yes: []string{get + "|Host: x"}},
		"other source": {when: &route.Conditions{Source: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, source: "192.0.2.1",
			not: []string{get + "|Host: x|X-Forwarded-For: 10.0.0.1"}},
		"not":  {when: &route.Conditions{Not: &route.Conditions{Method: []string{"GET"}}}, yes: []string{"PUT / HTTP/1.1|Host: x"}, not: []string{get + "|Host: x"}},
		"all":  {when: &route.Conditions{Method: []string{"GET"}, Path: patterns(t, false, "/a")}, yes: []string{get + "|Host: x"}, not: []string{"PUT /a HTTP/1.1|Host: x", "GET /b HTTP/1.1|Host: x"}},
		"none": {when: nil, yes: []string{get + "|Host: x"}},

		"verified":           {when: &route.Conditions{Client: &route.Client{Verified: &yes}}, client: ops, yes: []string{get + "|Host: x"}},
		"verified, but none": {when: &route.Conditions{Client: &route.Client{Verified: &yes}}, not: []string{get + "|Host: x"}},
		"not verified":       {when: &route.Conditions{Client: &route.Client{Verified: &no}}, yes: []string{get + "|Host: x"}},
		"names": {when: &route.Conditions{Client: &route.Client{
			SubjectCN: patterns(t, false, "ops-*"), SubjectOU: patterns(t, false, "dev", "ops"), SANDNS: patterns(t, true, "*.OPS"), SANURI: patterns(t, false, "spiffe://ops/*"),
			IssuerCN: patterns(t, false, "Ops CA"), Fingerprint: [][32]byte{{}, id.Fingerprint},
		}}, client: ops, yes: []string{get + "|Host: x"}},
		"other common name": {when: &route.Conditions{Client: &route.Client{SubjectCN: patterns(t, false, "dev-*")}}, client: ops, not: []string{get + "|Host: x"}},
		"other unit":        {when: &route.Conditions{Client: &route.Client{SubjectOU: patterns(t, false, "dev")}}, client: ops, not: []string{get + "|Host: x"}},
		"other DNS name":    {when: &route.Conditions{Client: &route.Client{SANDNS: patterns(t, true, "spiffe*")}}, client: ops, not: []string{get + "|Host: x"}},
		"other URI":         {when: &route.Conditions{Client: &route.Client{SANURI: patterns(t, false, "*.ops")}}, client: ops, not: []string{get + "|Host: x"}},
		"other issuer":      {when: &route.Conditions{Client: &route.Client{IssuerCN: patterns(t, false, "ops-1")}}, client: ops, not: []string{get + "|Host: x"}},
		"other fingerprint": {when: &route.Conditions{Client: &route.Client{Fingerprint: [][32]byte{{}}}}, client: ops, not: []string{get + "|Host: x"}},
		"anonymous":         {when: &route.Conditions{Client: &route.Client{SubjectCN: patterns(t, false, "*")}}, not: []string{get + "|Host: x"}},
		"no device":         {when: &route.Conditions{Client: &route.Client{DeviceState: []string{"active"}}}, client: ops, not: []string{get + "|Host: x"}},
	} {
		t.Run(name, func(t *testing.T) {
			routes := one(tt.when)
			for want, requests := range map[string][]string{"1": tt.yes, "0": tt.not} {
				for _, request := range requests {
					q := &route.Question{Request: parse(t, strings.Split(request, "|")...), Client: tt.client}
					if !q.Client.Known() {
						q.Client = identify.Anonymous()
					}
					if tt.source != "" {
						q.Source = netip.MustParseAddr(tt.source)
					}
					if got := taken(routes, q); got != want {
						t.Errorf("%q: %s, want %s", request, got, want)
					}
				}
			}
		})
	}
}

// What is not verified is a client's own claim.
func TestAClaimIsNotBelieved(t *testing.T) {
	ca := testpki.NewRoot(t, "Ops CA")
	chain, denial := verify.Unverified(ca.Client("ops-1").Chain())
	if denial != nil {
		t.Fatal(denial)
	}
	claims, denial := identify.From(chain)
	if denial != nil {
		t.Fatal(denial)
	}
	routes := one(&route.Conditions{Client: &route.Client{SubjectCN: patterns(t, false, "ops-1")}})
	if got := taken(routes, &route.Question{Request: parse(t, "GET / HTTP/1.1", "Host: x"), Client: claims}); got != "0" {
		t.Errorf("taken by %s", got)
	}
}

// Of several common names another reader may see another one.
func TestEveryCommonNameMustMatch(t *testing.T) {
	ca := testpki.NewRoot(t, "CA")
	cn := func(s string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: s}
	}
	both := client(t, ca, "", testpki.Subject(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{cn("ops-1"), cn("dev-1")}}))
	if n := len(both.Identity().CommonNames); n != 2 {
		t.Fatalf("%d common names", n)
	}
	for texts, want := range map[string]string{"ops-*": "0", "dev-*": "0", "ops-* dev-*": "1"} {
		routes := one(&route.Conditions{Client: &route.Client{SubjectCN: patterns(t, false, strings.Fields(texts)...)}})
		if got := taken(routes, &route.Question{Request: parse(t, "GET / HTTP/1.1", "Host: x"), Client: both}); got != want {
			t.Errorf("%s: %s, want %s", texts, got, want)
		}
	}
}

func TestTheFirstRuleThatMatchesTakes(t *testing.T) {
	routes := table(
		&route.Conditions{Path: patterns(t, false, "/a/b*")},
		&route.Conditions{Path: patterns(t, false, "/a/*")},
		&route.Conditions{Path: patterns(t, false, "/a/b/c")},
	)
	for path, want := range map[string]string{"/a/b/c": "1", "/a/c": "2", "/b": "0"} {
		if got := taken(routes, &route.Question{Request: parse(t, "GET "+path+" HTTP/1.1", "Host: x"), Client: identify.Anonymous()}); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// A path that can be read in ways that lead to different rules is refused, however
// it is spelled; one that leads to the same rule is not.
func TestNoRuleIsEvadedBySpelling(t *testing.T) {
	routes := table(
		&route.Conditions{Path: patterns(t, false, "/ops/*")},
		&route.Conditions{Path: patterns(t, false, "/public/*")},
		&route.Conditions{Path: patterns(t, false, "/caf%C3%A9/*")},
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
		q := &route.Question{Request: parse(t, "GET "+path+" HTTP/1.1", "Host: x"), Client: identify.Anonymous()}
		if got := taken(routes, q); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// Where no rule is about paths, they are the target's alone.
func TestPathsAreLeftAloneWhereNoRuleIsAboutThem(t *testing.T) {
	routes := table(&route.Conditions{Method: []string{"GET"}})
	for _, path := range []string{"/a/%00", "//a/../b", "/%c0%af"} {
		if got := taken(routes, &route.Question{Request: parse(t, "GET "+path+" HTTP/1.1", "Host: x"), Client: identify.Anonymous()}); got != "1" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// Bytes have a server name, a source and a client, and nothing else.
func TestBytesAreRouted(t *testing.T) {
	routes := table(
		&route.Conditions{Host: patterns(t, true, "mqtt.example.com", "regex:^x[0-9]$")},
		&route.Conditions{Source: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}},
	)
	for _, tt := range []struct{ name, source, want string }{
		{"mqtt.example.com", "192.0.2.1", "1"}, {"x7", "192.0.2.1", "1"}, {"", "2001:db8::1", "2"}, {"", "192.0.2.1", "0"}, {"other", "192.0.2.1", "0"},
	} {
		if got := taken(routes, &route.Question{ServerName: tt.name, Source: netip.MustParseAddr(tt.source), Client: identify.Anonymous()}); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

func TestSharesAreByWeight(t *testing.T) {
	blue, green, none := new(upstream.Group), new(upstream.Group), new(upstream.Group)
	routes := &route.Table{Rules: route.Compile([]route.Rule{{Priority: 1, Shares: []route.Share{{Group: blue, Weight: 90}, {Group: none}, {Group: green, Weight: 10}}}})}
	got := map[*upstream.Group]int{}
	q := &route.Question{Request: parse(t, "GET / HTTP/1.1", "Host: x"), Client: identify.Anonymous()}
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
	var whens []*route.Conditions
	for i := range 100 {
		c := &route.Conditions{}
		switch i % 10 {
		case 0:
			c.Path = patterns(t, false, fmt.Sprintf("/area-%d/*", i))
		case 1:
			c.Host = patterns(t, true, fmt.Sprintf("*.host-%d.example.com", i), fmt.Sprintf("host-%d.example.com", i))
		case 2:
			c.Method, c.Path = []string{"DELETE", "PUT"}, patterns(t, false, "/*")
		case 3:
			c.Header = []route.Named{{Name: fmt.Sprintf("x-beta-%d", i%4), Values: patterns(t, true, "on*")}}
		case 4:
			c.Query = []route.Named{{Name: "version", Values: patterns(t, true, fmt.Sprint(i))}}
		case 5:
			c.Source = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)}
		case 6:
			c.Client = &route.Client{SubjectCN: patterns(t, false, fmt.Sprintf("ops-%d-*", i))}
		case 7:
			c.Client = &route.Client{SANURI: patterns(t, false, fmt.Sprintf("spiffe://ops/%d/*", i)), IssuerCN: patterns(t, false, "Ops CA")}
		case 8:
			c.Method, c.Path = []string{"POST"}, patterns(t, false, fmt.Sprintf("regex:^/r%d/[a-z]+/[0-9]{1,9}$", i))
		case 9:
			c.Path, c.Not = patterns(t, false, fmt.Sprintf("/n%d/*/x", i)), &route.Conditions{Method: []string{"GET"}}
		}
		whens = append(whens, c)
	}
	return table(whens...)
}

func asked(t testing.TB) *route.Question {
	ca := testpki.NewRoot(t, "Fleet CA")
	return &route.Question{
		Request: parse(t, "GET /api/v1/things/4711?page=2&version=7&sort=name HTTP/1.1", "Host: api.example.com", "User-Agent: curl/8.5.0", "Accept: */*",
			"Accept-Encoding: gzip", "X-Beta-3: off", "X-Request-Id: 0123456789abcdef", "Cookie: session=0123456789abcdef0123456789abcdef"),
		Source: netip.MustParseAddr("192.0.2.7"), Client: client(t, ca, "MacID-AA:BB:CC:DD:EE:FF", testpki.URI("spiffe://fleet/a")),
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
	q.Request = parse(t, "GET /caf%c3%a9//x;y/%2F?a=%20+b HTTP/1.1", "Host: x")
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
		&route.Conditions{Path: patterns(f, false, "/ops/*", "regex:^/r[0-9]+$"), Host: patterns(f, true, "*.example.com", "regex:^[a-z]+$")},
		&route.Conditions{Query: []route.Named{{Name: "a", Values: patterns(f, true, "*b*")}}},
		&route.Conditions{Header: []route.Named{{Name: "x-beta", Values: patterns(f, true, "o?")}}, Not: &route.Conditions{Path: patterns(f, false, "/public/*")}},
	)
	f.Fuzz(func(t *testing.T, path, query, host, header string) {
		q := new(http1.Request)
		head := "GET " + path + "?" + query + " HTTP/1.1\r\nHost: " + host + "\r\nX-Beta: " + header + "\r\n\r\n"
		if _, err := q.Parse([]byte(head), http1.Limits{}); err != nil {
			return
		}
		question := &route.Question{Request: q, Client: identify.Anonymous()}
		one, two := taken(routes, question), taken(routes, question)
		if one != two {
			t.Errorf("%q: %s, then %s", head, one, two)
		}
		if one == "1" && !strings.Contains(path, "/") {
			t.Errorf("%q is taken by the rule for /ops/", head)
		}
	})
}
