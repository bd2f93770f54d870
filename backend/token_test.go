package backend

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const header = "X-Client-Identity-Token"

func TestATokenIsBelievedByItsSignature(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}}, c)
	token := g.sign(t, good(c, map[string]any{"device": map[string]any{"id": "1", "state": "active"}}), "")
	who, err := v.Identify(request(map[string]string{header: token}))
	if err != nil {
		t.Fatal(err)
	}
	if !who.Verified || who.Anonymous() || who.Subject != "CN=MacID-1" || who.CommonNames[0] != "MacID-1" ||
		who.Fingerprint[31] != 31 || who.Device != (Device{"1", "active"}) {
		t.Errorf("%+v", who)
	}
}

// Everything that a token could be instead is refused, and why is said.
func TestATokenThatIsNotRightIsRefused(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	other := newGateway(t, "a")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(g.keys[0].Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	fine := g.sign(t, good(c, nil), "")
	parts := strings.Split(fine, ".")
	encode := base64.RawURLEncoding.EncodeToString
	now := c.Now().Unix()
	for name, x := range map[string]struct{ token, want string }{
		"none at all":         {"", "is missing"},
		"not one":             {"token", "compact JWS format must have three parts"},
		"another audience":    {g.sign(t, good(c, map[string]any{"aud": "ops"}), ""), `its aud is "ops": want "api"`},
		"several audiences":   {g.sign(t, good(c, map[string]any{"aud": []string{"api", "ops"}}), ""), "cannot unmarshal"},
		"no audience":         {g.sign(t, good(c, map[string]any{"aud": nil}), ""), "its aud"},
		"another issuer":      {g.sign(t, good(c, map[string]any{"iss": "me"}), ""), `its iss is "me"`},
		"expired":             {g.sign(t, good(c, map[string]any{"iat": now - 91, "exp": now - 31}), ""), "it has expired at"},
		"no expiry":           {g.sign(t, good(c, map[string]any{"exp": nil}), ""), "it has expired at"},
		"of tomorrow":         {g.sign(t, good(c, map[string]any{"iat": now + 31, "exp": now + 91}), ""), "still to come"},
		"for a day":           {g.sign(t, good(c, map[string]any{"exp": now + 86400}), ""), "it is for 86400 seconds"},
		"a time with decimal": {g.sign(t, good(c, map[string]any{"exp": float64(now) + 0.5}), ""), "cannot unmarshal"},
		"verified nobody":     {g.sign(t, good(c, map[string]any{"cnf": nil}), ""), "calls a client verified"},
		"a short thumbprint":  {g.sign(t, good(c, map[string]any{"cnf": map[string]any{"x5t#S256": "AAEC"}}), ""), "want a SHA-256"},
		"unverified":          {g.sign(t, good(c, map[string]any{"verified": false}), ""), "not verified"},
		"anonymous":           {g.sign(t, good(c, map[string]any{"verified": false, "cnf": nil}), ""), "no certificate"},
		"another typ":         {signAs(t, jose.SigningKey{Algorithm: jose.ES256, Key: g.keys[0]}, "JWT", good(c, nil)), "its typ is JWT"},
		"another's key":       {other.sign(t, good(c, nil), ""), `key "a": `},
		"an unknown key":      {signAs(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: g.keys[0].Key, KeyID: "b"}}, tokenType, good(c, nil)), `key "b" is not known`},
		"another algorithm":   {signAs(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: rsaKey, KeyID: "a"}}, tokenType, good(c, nil)), "unexpected signature algorithm"},
		"key confusion":       {signAs(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: public, KeyID: "a"}}, tokenType, good(c, nil)), "unexpected signature algorithm"},
		"alg none":            {encode([]byte(`{"alg":"none","kid":"a","typ":"client-identity+jwt"}`)) + "." + parts[1] + ".", "unexpected signature algorithm"},
		"an unknown crit":     {encode([]byte(`{"alg":"ES256","kid":"a","typ":"client-identity+jwt","crit":["x"],"x":1}`)) + "." + parts[1] + "." + parts[2], "key"},
		"changed":             {parts[0] + "." + encode([]byte(`{"iss":"countersign","aud":"api"}`)) + "." + parts[2], "key"},
		"without signature":   {parts[0] + "." + parts[1] + ".", "key"},
		"a mebibyte":          {strings.Repeat("a", 1<<20), "no token is longer"},
	} {
		v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}}, c)
		r := request(nil)
		if x.token != "" {
			r.Header.Set(header, x.token)
		}
		if who, err := v.Identify(r); err == nil || who != nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %+v, %v; want %q", name, who, err, x.want)
		}
	}
	r := request(nil)
	r.Header[header] = []string{fine, fine}
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}}, c)
	if _, err := v.Identify(r); err == nil || !strings.Contains(err.Error(), "is there 2 times") {
		t.Errorf("two tokens: %v", err)
	}
}

// A balancer in front may have verified the certificate, and tell its subject alone.
func TestAClientMayBeVouchedForByABalancer(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}}, c)
	token := g.sign(t, good(c, map[string]any{"cnf": nil, "certificate": nil, "vouched_by": "10.0.0.9"}), "")
	who, err := v.Identify(request(map[string]string{header: token}))
	if err != nil || !who.Verified || who.VouchedBy != "10.0.0.9" || who.Subject != "CN=MacID-1" || who.Anonymous() {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestACredentialStandsForACertificateWhereThatIsSaid(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	acme := map[string]any{"verified": false, "cnf": nil, "credential": map[string]any{"subject": "acme", "type": "api_key", "name": "customers"}}
	want := Credential{"acme", "api_key", "customers"}
	for _, x := range []struct {
		cfg Config
		r   map[string]string
	}{
		{Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}}, map[string]string{header: g.sign(t, good(c, acme), "")}},
		{Config{Dialect: AWS, Peers: peers}, map[string]string{"X-Auth-Subject": "acme", "X-Auth-Type": "api_key", "X-Auth-Credential": "custom%65rs"}},
	} {
		if who, err := verifier(t, x.cfg, c).Identify(request(x.r)); err == nil || !strings.Contains(err.Error(), "and no certificate") {
			t.Errorf("%s: %+v, %v", x.cfg.Dialect, who, err)
		}
		x.cfg.Credentials = true
		who, err := verifier(t, x.cfg, c).Identify(request(x.r))
		if err != nil || who.Credential != want || who.Verified || who.Anonymous() {
			t.Errorf("%s: %+v, %v", x.cfg.Dialect, who, err)
		}
		if who, err := verifier(t, x.cfg, c).Identify(request(map[string]string{header: g.sign(t, good(c, map[string]any{"verified": false, "cnf": nil}), "")})); err == nil {
			t.Errorf("%s: nobody is %+v", x.cfg.Dialect, who)
		}
	}
}

func TestClientsWithoutAVerifiedCertificateAreServedWhereThatIsSaid(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}, Anonymous: true, Unverified: true}, c)
	shown, err := v.Identify(request(map[string]string{header: g.sign(t, good(c, map[string]any{"verified": false}), "")}))
	if err != nil || shown.Verified || shown.Anonymous() || shown.Subject != "" {
		t.Errorf("%+v, %v: want the digest of a certificate, and no name", shown, err)
	}
	nobody, err := v.Identify(request(map[string]string{header: g.sign(t, good(c, map[string]any{"verified": false, "cnf": nil}), "")}))
	if err != nil || nobody.Verified || !nobody.Anonymous() {
		t.Errorf("%+v, %v", nobody, err)
	}
}

// A new key is asked for when a token names it, but not whenever somebody makes
// up a name; and retired keys are forgotten.
func TestKeysAreAskedForAnewAndNotTooOften(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}}, c)
	identify := func(kid string) error {
		_, err := v.Identify(request(map[string]string{header: g.sign(t, good(c, nil), kid)}))
		return err
	}
	for range 3 {
		if err := identify("a"); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.asked(); n != 1 {
		t.Fatalf("asked %d times for one key", n)
	}
	c.pass(keysPause)
	g.add(t, "b")
	if err := identify("b"); err != nil || g.asked() != 2 {
		t.Fatalf("a new key: %v, asked %d times", err, g.asked())
	}
	g.add(t, "c")
	for range 100 {
		if identify("c") == nil {
			t.Fatal("a key was asked for that soon")
		}
	}
	if n := g.asked(); n != 2 {
		t.Errorf("a hundred unknown keys within a pause had the gateway asked %d times", n-2)
	}
	c.pass(keysPause)
	if err := identify("c"); err != nil || g.asked() != 3 {
		t.Fatalf("after the pause: %v, asked %d times", err, g.asked())
	}
	token := g.sign(t, good(c, map[string]any{"iat": c.Now().Unix() + 300, "exp": c.Now().Unix() + 360}), "a")
	g.keys = g.keys[1:]
	c.pass(keysFresh)
	if _, err := v.Identify(request(map[string]string{header: token})); err == nil || !strings.Contains(err.Error(), `key "a" is not known`) {
		t.Errorf("a key that the gateway publishes no more: %v", err)
	}
}

// Those who come at once wait for one answer.
func TestKeysAreAskedForOnceByAllWhoNeedThem(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}}, c)
	token := g.sign(t, good(c, nil), "")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := v.Identify(request(map[string]string{header: token})); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := g.asked(); n != 1 {
		t.Errorf("the gateway was asked %d times", n)
	}
}

// What was learned serves on while a gateway cannot be asked.
func TestKeysServeOnWhileTheGatewayIsAway(t *testing.T) {
	c, g, second := newClock(), newGateway(t, "a"), newGateway(t, "x")
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL, second.server.URL}}, c)
	identify := func(g *gateway) error {
		_, err := v.Identify(request(map[string]string{header: g.sign(t, good(c, nil), "")}))
		return err
	}
	if err := identify(g); err != nil {
		t.Fatal(err)
	}
	if err := identify(second); err != nil {
		t.Fatalf("the key of the second node: %v", err)
	}
	for name, answer := range map[string]func(http.ResponseWriter){
		"an error":      func(w http.ResponseWriter) { w.WriteHeader(500) },
		"no JSON":       func(w http.ResponseWriter) { w.Write([]byte("<html>")) },
		"another JSON":  func(w http.ResponseWriter) { w.Write([]byte(`{"a":1}`)) },
		"no keys":       func(w http.ResponseWriter) { w.Write([]byte(`{"keys":[]}`)) },
		"a private key": func(w http.ResponseWriter) { w.Write([]byte(`{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`)) },
		"too much":      func(w http.ResponseWriter) { w.Write(make([]byte, keysSize+1)) },
	} {
		g.answers(answer)
		c.pass(keysFresh)
		before := g.asked()
		if err := identify(g); err != nil || g.asked() == before {
			t.Errorf("%s: %v, asked %d times", name, err, g.asked()-before)
		}
		if err := identify(second); err != nil {
			t.Errorf("%s from the other: %v", name, err)
		}
	}
	c.pass(keysPause)
	g.add(t, "new")
	if err := identify(g); err == nil || !strings.Contains(err.Error(), g.server.URL) {
		t.Errorf("%v: want the URL that does not answer", err)
	}
}

func TestKeysMayBeAFile(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	path := filepath.Join(t.TempDir(), "jwks.json")
	write := func() {
		w := &strings.Builder{}
		g.ServeHTTP(recorder{w}, nil)
		if err := os.WriteFile(path, []byte(w.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{path}}, c)
	for _, kid := range []string{"a", "b"} {
		if kid == "b" {
			g.add(t, kid)
			write()
			c.pass(keysPause)
		}
		if _, err := v.Identify(request(map[string]string{header: g.sign(t, good(c, nil), kid)})); err != nil {
			t.Errorf("%s: %v", kid, err)
		}
	}
}

type recorder struct{ *strings.Builder }

func (recorder) Header() http.Header { return http.Header{} }
func (recorder) WriteHeader(int)     {}

func FuzzToken(f *testing.F) {
	c, g := newClock(), newGateway(f, "a")
	v := verifier(f, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}, Anonymous: true, Unverified: true}, c)
	fine := g.sign(f, good(c, nil), "")
	f.Add(fine)
	f.Add(fine[:len(fine)-1])
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if who, err := v.Identify(request(map[string]string{header: token})); err == nil && strings.Trim(token, " \t") != fine {
			// ECDSA's s may be negated: then it is the same statement.
			if a, b, _ := strings.Cut(strings.Trim(token, " \t"), "."); !strings.HasPrefix(fine, a+".") || !strings.HasPrefix(fine[len(a)+1:], b[:strings.LastIndex(b, ".")+1]) {
				t.Errorf("%q is %+v", token, who)
			}
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"use":"sig","kty":"EC","kid":"a","crv":"P-256","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := publicKeys(data)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%v, %v", keys, err)
		}
	})
}

func TestTheDefaultLeewayIsHalfAMinute(t *testing.T) {
	c, g := newClock(), newGateway(t, "a")
	v := verifier(t, Config{Dialect: Token, Audience: "api", Keys: []string{g.server.URL}}, c)
	r := request(map[string]string{header: g.sign(t, good(c, nil), "")})
	for _, step := range []struct {
		pass time.Duration
		want bool
	}{{-30 * time.Second, true}, {119 * time.Second, true}, {time.Second, false}} {
		c.pass(step.pass)
		if _, err := v.Identify(r); (err == nil) != step.want {
			t.Errorf("%v: %v, want %v", c.Now(), err, step.want)
		}
	}
}
