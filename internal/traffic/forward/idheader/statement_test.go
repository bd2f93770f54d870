package idheader_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/identify"
	"github.com/google/go-cmp/cmp"
)

// plain signs nothing: what it is given is what is sent.
type plain struct{ err error }

func (p plain) Sign(claims []byte) (string, error) {
	return base64.RawURLEncoding.EncodeToString(claims), p.err
}

func tokenPlan(t testing.TB, token idheader.Token, limits idheader.Limits) *idheader.Plan {
	t.Helper()
	plan, err := idheader.Compile(idheader.Config{Token: &token, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// stated returns the claims of a token.
func stated(t testing.TB, s idheader.Statement, header string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(value(t, split(t, s.Field()), header))
	if err != nil {
		t.Fatal(err)
	}
	decoder, claims := json.NewDecoder(bytes.NewReader(raw)), map[string]any{}
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 999, time.UTC)

// What a token says of a client is what the other dialects may: of a verified one
// all, of one that is passed through its certificate's digest, of an anonymous one
// that it is.
func TestATokenStatesWhatIsKnownOfAClient(t *testing.T) {
	p := newPKI(t)
	leaf := p.mid.Client("MacID-1", testpki.DNS("d1.example.com"), testpki.URI("spiffe://fleet/d1"))
	digest := sha256.Sum256(leaf.X509.Raw)
	thumbprint := map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(digest[:])}
	plan := tokenPlan(t, idheader.Token{Signer: plain{}}, idheader.Limits{})
	common := func(more map[string]any) map[string]any {
		all := map[string]any{"iss": "countersign", "aud": "app", "iat": json.Number("1795348800"), "exp": json.Number("1795348860"), "verified": false}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	verified := p.verified(t, leaf.Chain())
	for _, c := range []struct {
		name   string
		client identify.Client
		device idheader.Device
		shown  idheader.Credential
		want   map[string]any
	}{
		{"anonymous", identify.Anonymous(), idheader.Device{}, idheader.Credential{}, common(nil)},
		{"with a credential", identify.Anonymous(), idheader.Device{}, idheader.Credential{Subject: "acme", Type: "api_key", Name: "customers"},
			common(map[string]any{"credential": map[string]any{"subject": "acme", "type": "api_key", "name": "customers"}})},
		{"passed through", shown(t, leaf.Chain()), idheader.Device{}, idheader.Credential{}, common(map[string]any{"cnf": thumbprint})},
		{"verified", verified, idheader.Device{ID: "1", State: "active"}, idheader.Credential{}, common(map[string]any{
			"verified": true, "sub": verified.Identity().Subject, "cnf": thumbprint,
			"certificate": map[string]any{
				"subject": verified.Identity().Subject, "issuer": verified.Identity().Issuer, "serial": verified.Identity().Serial,
				"not_before": json.Number(epoch(leaf.X509.NotBefore)), "not_after": json.Number(epoch(leaf.X509.NotAfter)),
				"cn": []any{"MacID-1"}, "san_dns": []any{"d1.example.com"}, "san_uri": []any{"spiffe://fleet/d1"},
			},
			"device": map[string]any{"id": "1", "state": "active"},
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, denial := plan.State(c.client, c.device, c.shown, "app", 0, noon)
			if denial != nil {
				t.Fatal(denial)
			}
			if diff := cmp.Diff(c.want, stated(t, s, idheader.TokenHeader)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func epoch(t time.Time) string { b, _ := json.Marshal(t.Unix()); return string(b) }

func TestATokenIsNotSentInTheSecondHalfOfItsLife(t *testing.T) {
	plan := tokenPlan(t, idheader.Token{Signer: plain{}, Lifetime: 10 * time.Second, Header: "X-Who", Issuer: "gw", Audience: "apps"}, idheader.Limits{})
	s, denial := plan.State(identify.Anonymous(), idheader.Device{}, idheader.Credential{}, "app", 0, noon)
	if denial != nil {
		t.Fatal(denial)
	}
	if c := stated(t, s, "X-Who"); c["iss"] != "gw" || c["aud"] != "apps" || c["exp"] != json.Number("1795348810") {
		t.Errorf("%v", c)
	}
	for after, want := range map[time.Duration]bool{
		-time.Second: false, 0: true, 4 * time.Second: true, 5 * time.Second: false, 10 * time.Second: false, time.Hour: false,
	} {
		if got := s.Holds(noon.Add(after)); got != want {
			t.Errorf("after %v: %v, want %v", after, got, want)
		}
	}
	if new(idheader.Statement).Holds(noon) {
		t.Error("the zero Statement holds")
	}
	if n := testing.AllocsPerRun(100, func() { s.Holds(noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestATokenCountsTowardTheLimits(t *testing.T) {
	token := idheader.Token{Signer: plain{}}
	for _, c := range []struct {
		limits   idheader.Limits
		rendered int
		fits     bool
	}{
		{idheader.Limits{Header: 500, Headers: 500}, 0, true},
		{idheader.Limits{Header: 500, Headers: 500}, 400, false},
		{idheader.Limits{Header: 100, Headers: 500}, 0, false},
	} {
		_, denial := tokenPlan(t, token, c.limits).State(identify.Anonymous(), idheader.Device{}, idheader.Credential{}, "app", c.rendered, noon)
		if (denial == nil) != c.fits || denial != nil && denial.Code != countersign.IdentityTooLarge {
			t.Errorf("%+v: %v", c, denial)
		}
	}
}

func TestWhatCannotBeSignedIsNotSent(t *testing.T) {
	for name, c := range map[string]struct {
		signer idheader.Signer
		client identify.Client
	}{
		"no keys":   {nil, identify.Anonymous()},
		"nobody":    {plain{}, identify.Client{}},
		"a failure": {plain{errors.New("the key is gone")}, identify.Anonymous()},
	} {
		s, denial := tokenPlan(t, idheader.Token{Signer: c.signer}, idheader.Limits{}).State(c.client, idheader.Device{}, idheader.Credential{}, "app", 0, noon)
		if denial == nil || denial.Code != countersign.CredentialNotProven || len(s.Field()) > 0 {
			t.Errorf("%s: %v, %q", name, denial, s.Field())
		}
	}
}

func TestNobodyMaySendATokenOrVaryByIt(t *testing.T) {
	plan := tokenPlan(t, idheader.Token{Header: "X-Who"}, idheader.Limits{})
	for _, name := range []string{"X-Who", "x_who", "X.WHO", idheader.TokenHeader, "x_client_identity_token", "X-Client.Identity-Token"} {
		if !plan.Strips([]byte(name)) {
			t.Errorf("a client may send %s", name)
		}
	}
	if !idheader.Stripped([]byte(idheader.TokenHeader)) || plan.Strips([]byte("X-Client-Identities")) {
		t.Error("stripped: too little, or too much")
	}
	if !plan.VaryNeedsStar([]byte("Accept, x-who")) || !(*idheader.Plan)(nil).VaryNeedsStar([]byte(idheader.TokenHeader)) {
		t.Error("answers may vary by a token, and caches are not told")
	}
	if plan.States() != true || (*idheader.Plan)(nil).States() || tokenless(t).States() {
		t.Error("who states and who does not")
	}
}

func tokenless(t testing.TB) *idheader.Plan {
	plan, err := idheader.Compile(idheader.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestFaultsOfATokenAreReported(t *testing.T) {
	for want, c := range map[string]idheader.Config{
		"lifetime 9s: want 10s to 1h":       {Token: &idheader.Token{Lifetime: 9 * time.Second}},
		"lifetime 2h0m0s":                   {Token: &idheader.Token{Lifetime: 2 * time.Hour}},
		`identity token header "X Who"`:     {Token: &idheader.Token{Header: "X Who"}},
		"dialect token sets it already":     {Token: &idheader.Token{Header: "X-Who"}, Set: []idheader.Header{{Name: "x_who", Value: "{subject}"}}},
		"and dialect xfcc would too":        {Token: &idheader.Token{Header: "X-Forwarded-Client-Cert"}, Dialects: []idheader.Dialect{idheader.XFCC}},
		"HTTP itself needs a header":        {Token: &idheader.Token{Header: "Host"}},
		"dialect aws is listed twice":       {Dialects: []idheader.Dialect{idheader.AWS, idheader.AWS}},
		"X-Device-Id: devices: annotate":    {Token: &idheader.Token{Header: "X-Device-Id"}, Device: true},
		"devices: annotate sets it already": {Token: &idheader.Token{}, Device: true, Set: []idheader.Header{{Name: "X-Device-Id", Value: "{subject}"}}},
	} {
		if _, err := idheader.Compile(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
