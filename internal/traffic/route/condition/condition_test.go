package condition_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/condition/conditiontest"
	"countersign.dev/internal/traffic/verify"
)

// meets asks as a table does that has when alone.
func meets(when *condition.Set, q *condition.Question) bool {
	headers := condition.Headers{}
	headers.Add(when)
	n := condition.TakeNotes(len(headers))
	defer n.GiveBack()
	return when.Meets(q, n, q.Request.Path)
}

func TestEachConditionIsMetByItsOwn(t *testing.T) {
	ca := testpki.NewRoot(t, "Ops CA")
	ops := conditiontest.Client(t, ca.X509, ca.Client("ops-1", testpki.OU("ops"), testpki.DNS("A.ops"), testpki.URI("spiffe://ops/a")).Chain())
	id := ops.Identity()
	yes, no := true, false
	named := func(name string, values ...string) []condition.Named {
		return []condition.Named{{Name: name, Values: conditiontest.Patterns(t, true, values...)}}
	}
	const get = "GET /a?v=2&w=%61+b&v=3 HTTP/1.1"
	for name, tt := range map[string]struct {
		when     *condition.Set
		yes, not []string // the lines of a request each, between |
		client   identify.Client
		source   string
	}{
		"host": {when: &condition.Set{Host: conditiontest.Patterns(t, true, "*.example.com", "[::1]")},
			yes: []string{get + "|Host: a.example.com", get + "|Host: A.Example.COM:8443", get + "|Host: a.example.com.", get + "|Host: [::1]:80",
				"GET http://b.example.com/x HTTP/1.1|Host: b.example.com"},
			not: []string{get + "|Host: example.com", get + "|Host: a.example.com.evil", "GET / HTTP/1.0"}},
		"path": {when: &condition.Set{Path: conditiontest.Patterns(t, false, "/a/*", "/b")},
			yes: []string{"GET /a/ HTTP/1.1|Host: x", "GET /a/b?c HTTP/1.1|Host: x", "GET /b?c HTTP/1.1|Host: x", "GET http://x/b HTTP/1.1|Host: x"},
			not: []string{"GET /a HTTP/1.1|Host: x", "GET /A/ HTTP/1.1|Host: x", "GET /?/a/ HTTP/1.1|Host: x", "OPTIONS * HTTP/1.1|Host: x"}},
		"regex": {when: &condition.Set{Path: conditiontest.Patterns(t, false, "regex:^/v[0-9]+/")},
			yes: []string{"GET /v12/x HTTP/1.1|Host: x"}, not: []string{"GET /vx/ HTTP/1.1|Host: x"}},
		"method": {when: &condition.Set{Method: []string{"PUT", "DELETE"}},
			yes: []string{"PUT / HTTP/1.1|Host: x"}, not: []string{"GET / HTTP/1.1|Host: x", "put / HTTP/1.1|Host: x"}},
		"query": {when: &condition.Set{Query: named("v", "3")}, yes: []string{get + "|Host: x", "GET /?V=3 HTTP/1.1|Host: x", "GET /?%76=%33 HTTP/1.1|Host: x"},
			not: []string{"GET / HTTP/1.1|Host: x", "GET /?v=33 HTTP/1.1|Host: x", "GET /?w=3 HTTP/1.1|Host: x", "GET /?v HTTP/1.1|Host: x"}},
		"query, decoded": {when: &condition.Set{Query: named("w", "A B")}, yes: []string{get + "|Host: x"}, not: []string{"GET /?w=a%2Bb HTTP/1.1|Host: x"}},
		"header": {when: &condition.Set{Header: named("x-beta", "on", "y*")},
			yes: []string{get + "|Host: x|X-Beta: on", get + "|Host: x|x-beta: no|X-BETA: Yes"},
			not: []string{get + "|Host: x", get + "|Host: x|X-Beta: no", get + "|Host: x|X_Beta: on"}},
		"header of any value": {when: &condition.Set{Header: named("x-beta", "*")},
			yes: []string{get + "|Host: x|X-Beta:"}, not: []string{get + "|Host: x"}},
		"source": {when: &condition.Set{Source: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, source: "10.1.2.3", yes: []string{get + "|Host: x"}},
		"other source": {when: &condition.Set{Source: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, source: "192.0.2.1",
			not: []string{get + "|Host: x|X-Forwarded-For: 10.0.0.1"}},
		"not":  {when: &condition.Set{Not: &condition.Set{Method: []string{"GET"}}}, yes: []string{"PUT / HTTP/1.1|Host: x"}, not: []string{get + "|Host: x"}},
		"all":  {when: &condition.Set{Method: []string{"GET"}, Path: conditiontest.Patterns(t, false, "/a")}, yes: []string{get + "|Host: x"}, not: []string{"PUT /a HTTP/1.1|Host: x", "GET /b HTTP/1.1|Host: x"}},
		"none": {when: nil, yes: []string{get + "|Host: x"}},

		"verified":           {when: &condition.Set{Client: &condition.Client{Verified: &yes}}, client: ops, yes: []string{get + "|Host: x"}},
		"verified, but none": {when: &condition.Set{Client: &condition.Client{Verified: &yes}}, not: []string{get + "|Host: x"}},
		"not verified":       {when: &condition.Set{Client: &condition.Client{Verified: &no}}, yes: []string{get + "|Host: x"}},
		"names": {when: &condition.Set{Client: &condition.Client{
			SubjectCN: conditiontest.Patterns(t, false, "ops-*"), SubjectOU: conditiontest.Patterns(t, false, "dev", "ops"), SANDNS: conditiontest.Patterns(t, true, "*.OPS"), SANURI: conditiontest.Patterns(t, false, "spiffe://ops/*"),
			IssuerCN: conditiontest.Patterns(t, false, "Ops CA"), Fingerprint: [][32]byte{{}, id.Fingerprint},
		}}, client: ops, yes: []string{get + "|Host: x"}},
		"other common name": {when: &condition.Set{Client: &condition.Client{SubjectCN: conditiontest.Patterns(t, false, "dev-*")}}, client: ops, not: []string{get + "|Host: x"}},
		"other unit":        {when: &condition.Set{Client: &condition.Client{SubjectOU: conditiontest.Patterns(t, false, "dev")}}, client: ops, not: []string{get + "|Host: x"}},
		"other DNS name":    {when: &condition.Set{Client: &condition.Client{SANDNS: conditiontest.Patterns(t, true, "spiffe*")}}, client: ops, not: []string{get + "|Host: x"}},
		"other URI":         {when: &condition.Set{Client: &condition.Client{SANURI: conditiontest.Patterns(t, false, "*.ops")}}, client: ops, not: []string{get + "|Host: x"}},
		"other issuer":      {when: &condition.Set{Client: &condition.Client{IssuerCN: conditiontest.Patterns(t, false, "ops-1")}}, client: ops, not: []string{get + "|Host: x"}},
		"other fingerprint": {when: &condition.Set{Client: &condition.Client{Fingerprint: [][32]byte{{}}}}, client: ops, not: []string{get + "|Host: x"}},
		"anonymous":         {when: &condition.Set{Client: &condition.Client{SubjectCN: conditiontest.Patterns(t, false, "*")}}, not: []string{get + "|Host: x"}},
		"no device":         {when: &condition.Set{Client: &condition.Client{DeviceState: []string{"active"}}}, client: ops, not: []string{get + "|Host: x"}},
	} {
		t.Run(name, func(t *testing.T) {
			for want, requests := range map[bool][]string{true: tt.yes, false: tt.not} {
				for _, request := range requests {
					q := &condition.Question{Request: conditiontest.Request(t, strings.Split(request, "|")...), Client: tt.client}
					if !q.Client.Known() {
						q.Client = identify.Anonymous()
					}
					if tt.source != "" {
						q.Source = netip.MustParseAddr(tt.source)
					}
					if got := meets(tt.when, q); got != want {
						t.Errorf("%q: %t, want %t", request, got, want)
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
	when := &condition.Set{Client: &condition.Client{SubjectCN: conditiontest.Patterns(t, false, "ops-1")}}
	if meets(when, &condition.Question{Request: conditiontest.Request(t, "GET / HTTP/1.1", "Host: x"), Client: claims}) {
		t.Error("it is")
	}
}

// Of several common names another reader may see another one.
func TestEveryCommonNameMustMatch(t *testing.T) {
	ca := testpki.NewRoot(t, "CA")
	cn := func(s string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: s}
	}
	both := conditiontest.Client(t, ca.X509, ca.Client("", testpki.Subject(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{cn("ops-1"), cn("dev-1")}})).Chain())
	if n := len(both.Identity().CommonNames); n != 2 {
		t.Fatalf("%d common names", n)
	}
	for texts, want := range map[string]bool{"ops-*": false, "dev-*": false, "ops-* dev-*": true} {
		when := &condition.Set{Client: &condition.Client{SubjectCN: conditiontest.Patterns(t, false, strings.Fields(texts)...)}}
		if got := meets(when, &condition.Question{Request: conditiontest.Request(t, "GET / HTTP/1.1", "Host: x"), Client: both}); got != want {
			t.Errorf("%s: %t, want %t", texts, got, want)
		}
	}
}
