package signing_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/control/signing"
	"countersign.dev/internal/traffic/respond"
)

// A clock is set by its test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t testing.TB, path string, c *clock) *signing.Keys {
	t.Helper()
	k, err := signing.Open(signing.Config{Path: path, Rotate: 24 * time.Hour, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k *signing.Keys) string {
	t.Helper()
	token, err := k.Sign([]byte(`{"sub":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// verify holds token against what k publishes, and returns its kid, "" if no key
// of that name is there.
func verify(t testing.TB, k *signing.Keys, token string) string {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(k.Public(), &set); err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	h := signed.Signatures[0].Protected
	if h.ExtraHeaders["typ"] != signing.TokenType {
		t.Errorf("typ %v", h.ExtraHeaders["typ"])
	}
	for _, key := range set.Keys {
		if !key.IsPublic() || key.Use != "sig" || key.Algorithm != "ES256" {
			t.Fatalf("published: %+v", key)
		}
	}
	keys := set.Key(h.KeyID)
	if len(keys) == 0 {
		return ""
	}
	if payload, err := signed.Verify(keys[0]); err != nil || string(payload) != `{"sub":"x"}` {
		t.Fatalf("%s, %v", payload, err)
	}
	return h.KeyID
}

func turn(t testing.TB, k *signing.Keys) {
	t.Helper()
	if err := k.Turn(); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyIsPublishedBeforeItSignsAndUntilWhatItSignedHasExpired(t *testing.T) {
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	k := open(t, filepath.Join(t.TempDir(), "keys.json"), c)
	early := k.Public()
	first := sign(t, k)
	if verify(t, k, first) == "" {
		t.Fatal("the key in use is not published")
	}
	c.pass(24*time.Hour - time.Second)
	if turn(t, k); verify(t, k, sign(t, k)) != verify(t, k, first) {
		t.Fatal("a key was exchanged before its time")
	}
	c.pass(time.Second)
	turn(t, k)
	second := sign(t, k)
	kid := verify(t, k, second)
	if kid == verify(t, k, first) || !strings.Contains(string(early), kid) {
		t.Errorf("key %q signs; it was published a rotation ago: %s", kid, early)
	}
	c.pass(time.Hour)
	if turn(t, k); verify(t, k, first) == "" {
		t.Error("a retired key is not published for as long as a token may live")
	}
	c.pass(10 * time.Minute)
	if turn(t, k); verify(t, k, first) != "" {
		t.Error("a retired key is published for good")
	}
	if verify(t, k, second) == "" {
		t.Error("the key in use is not published")
	}
}

func TestKeysOutliveTheProgramAndAreReadByNobodyElse(t *testing.T) {
	c, path := &clock{now: time.Now()}, filepath.Join(t.TempDir(), "data", "keys.json")
	k := open(t, path, c)
	before := sign(t, k)
	if again := open(t, path, c); verify(t, again, before) == "" || string(again.Public()) != string(k.Public()) {
		t.Error("a new program does not know what the last one has signed")
	}
	c.pass(25 * time.Hour)
	turn(t, k)
	data, err := os.ReadFile(path)
	if err != nil || strings.Count(string(data), `"d":`) != 2 {
		t.Errorf("want the private halves of two keys, not of the retired one: %v", err)
	}
	if verify(t, open(t, path, c), before) == "" {
		t.Error("a new program does not publish what was retired")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := signing.Open(signing.Config{Path: path}); err == nil || !strings.Contains(err.Error(), "is open to others (mode 0640)") {
		t.Errorf("%v", err)
	}
}

func TestAFileThatHasNoKeysIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"nothing": "", "no JSON": "keys", "no keys": "{}",
		"public":        `{"active":{"kty":"EC","crv":"P-256","kid":"a","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}}`,
		"another curve": `{"active":{"kty":"oct","k":"AAAA","kid":"a","alg":"HS256"}}`,
	} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := signing.Open(signing.Config{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that cannot be kept does not sign: after a start anew nobody would know it.
func TestAKeyThatCannotBeWrittenDownIsNotUsed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := &clock{now: time.Now()}
	k := open(t, filepath.Join(dir, "keys.json"), c)
	first := verify(t, k, sign(t, k))
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	c.pass(25 * time.Hour)
	if err := k.Turn(); err == nil {
		t.Fatal("a key was exchanged that could not be written down")
	}
	if kid := verify(t, k, sign(t, k)); kid != first {
		t.Errorf("%q signs, want %q on", kid, first)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if turn(t, k); verify(t, k, sign(t, k)) == first {
		t.Error("the key is not exchanged when it can be")
	}
}

// A clock that was a year ahead must not keep one key for a year.
func TestAClockThatIsSetBackDoesNotKeepAKey(t *testing.T) {
	c := &clock{now: time.Now()}
	k := open(t, "", c)
	first := verify(t, k, sign(t, k))
	c.pass(-24 * 365 * time.Hour)
	if turn(t, k); verify(t, k, sign(t, k)) == first {
		t.Error("the key signs on")
	}
}

func TestTheSetIsAnswered(t *testing.T) {
	k := open(t, "", &clock{now: time.Now()})
	p, none := signing.Publication{Set: k.Public}, signing.Publication{Set: func() []byte { return nil }}
	for _, c := range []struct {
		p      signing.Publication
		method string
		status int
	}{
		{p, "GET", 200}, {p, "HEAD", 200}, {p, "POST", 405}, {none, "GET", 404},
	} {
		w := httptest.NewRecorder()
		c.p.ServeHTTP(w, httptest.NewRequest(c.method, "/.well-known/jwks.json", nil))
		a := c.p.Respond(t.Context(), &respond.Request{Method: c.method})
		if w.Code != c.status || a.Status != c.status {
			t.Errorf("%s: %d and %d, want %d", c.method, w.Code, a.Status, c.status)
		}
		if c.status == http.StatusOK && (w.Body.String() != string(k.Public()) || string(a.Body) != w.Body.String() ||
			w.Header().Get("Content-Type") != "application/jwk-set+json" || a.Kind != w.Header().Get("Content-Type")) {
			t.Errorf("%v %s", w.Header(), w.Body)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	k := open(b, "", &clock{now: time.Now()})
	for b.Loop() {
		sign(b, k)
	}
}
