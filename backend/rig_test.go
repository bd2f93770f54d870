package backend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A gateway signs, and publishes its keys.
type gateway struct {
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetches int
	answer  func(w http.ResponseWriter) // in the place of the keys
	server  *httptest.Server
}

func newGateway(t testing.TB, kids ...string) *gateway {
	g := &gateway{}
	for _, kid := range kids {
		g.add(t, kid)
	}
	g.server = httptest.NewServer(g)
	t.Cleanup(g.server.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fetches++
	if g.answer != nil {
		g.answer(w)
		return
	}
	set := jose.JSONWebKeySet{}
	for _, k := range g.keys {
		set.Keys = append(set.Keys, k.Public())
	}
	json.NewEncoder(w).Encode(set)
}

func (g *gateway) asked() int { g.mu.Lock(); defer g.mu.Unlock(); return g.fetches }

func (g *gateway) add(t testing.TB, kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys = append(g.keys, jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: "ES256", Use: "sig"})
}

func (g *gateway) answers(with func(http.ResponseWriter)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = with
}

// sign signs claims with the last key, or the one that kid names.
func (g *gateway) sign(t testing.TB, claims map[string]any, kid string) string {
	t.Helper()
	g.mu.Lock()
	key := g.keys[len(g.keys)-1]
	for _, k := range g.keys {
		if k.KeyID == kid {
			key = k
		}
	}
	g.mu.Unlock()
	return signAs(t, jose.SigningKey{Algorithm: jose.ES256, Key: key}, tokenType, claims)
}

func signAs(t testing.TB, key jose.SigningKey, typ jose.ContentType, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A clock is set by its test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// good are the claims of a token that is valid at c, with changes.
func good(c *clock, changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": "countersign", "aud": "api", "iat": c.Now().Unix(), "exp": c.Now().Unix() + 60, "verified": true, "sub": "CN=MacID-1",
		"cnf":         map[string]any{"x5t#S256": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"},
		"certificate": map[string]any{"subject": "CN=MacID-1", "issuer": "CN=Fleet", "serial": "01", "cn": []string{"MacID-1"}},
	}
	for k, v := range changes {
		if v == nil {
			delete(claims, k)
		} else {
			claims[k] = v
		}
	}
	return claims
}

func verifier(t testing.TB, cfg Config, c *clock) *Verifier {
	t.Helper()
	cfg.now = c.Now
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func request(fields map[string]string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.5:40000"
	for k, v := range fields {
		r.Header.Set(k, v)
	}
	return r
}
