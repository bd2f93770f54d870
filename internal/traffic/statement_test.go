package traffic_test

import (
	"encoding/base64"
	"encoding/json"
	nethttp "net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/credential/apikey"
)

// signs is a Signer that signs nothing, and counts.
type signs struct{ made atomic.Int64 }

func (s *signs) Sign(claims []byte) (string, error) {
	s.made.Add(1)
	return base64.RawURLEncoding.EncodeToString(claims), nil
}

// A told is what a target reads from a token.
type told struct {
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	Verified bool   `json:"verified"`
	Device   struct{ ID, State string }

	Credential struct{ Subject, Name, Type string }
}

func token(t testing.TB, h nethttp.Header) (c told) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(h.Get("X-Client-Identity-Token"))
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || len(h.Values("X-Client-Identity-Token")) != 1 {
		t.Fatalf("%v in %v", err, h)
	}
	return c
}

var stating = with(fleetConfig, "identity_headers: [aws]", "identity_headers: [token]")

// A connection costs one signature, however many requests it carries, over HTTP/1.1
// and HTTP/2 alike.
func TestAConnectionCostsOneSignature(t *testing.T) {
	r := start(t, stating)
	c := r.dial(r.root.Client("MacID-1"))
	for range 5 {
		got := token(t, c.get("X-Client-Identity-Token: forged", "x_client_identity.token: forged").served(t))
		if got.Subject != "CN=MacID-1" || got.Audience != "app" || !got.Verified || got.Expires != got.IssuedAt+60 {
			t.Errorf("%+v", got)
		}
	}
	if n := r.signs.made.Load(); n != 1 {
		t.Errorf("%d signatures for five requests", n)
	}
	if got := token(t, r.dial(r.root.Client("MacID-2")).get().served(t)); got.Subject != "CN=MacID-2" {
		t.Errorf("another connection is told as %+v", got)
	}
}

// A token is renewed while its connection is in use, before it expires.
func TestATokenIsRenewedBeforeItExpires(t *testing.T) {
	r := start(t, with(fleetConfig, "identity_headers: [aws]", "identity_headers: [{token: {lifetime: 10s}}]"))
	c := r.dial(r.root.Client("MacID-1"))
	first := token(t, c.get().served(t))
	for end := time.Now().Add(patience); ; {
		asked := time.Now().Unix()
		got := token(t, c.get().served(t))
		if got.Expires <= asked {
			t.Fatalf("asked at %d, told until %d", asked, got.Expires)
		}
		if got.IssuedAt != first.IssuedAt {
			if r.signs.made.Load() != 2 || got.Subject != first.Subject {
				t.Errorf("%+v after %d signatures", got, r.signs.made.Load())
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("the token is not renewed")
		}
	}
}

// What is stated is what holds now, not what held when the connection began.
func TestATokenFollowsTheConfiguration(t *testing.T) {
	r := start(t, with(stating, "{mode: verify, trust_store: fleet}", "{mode: passthrough}"))
	c := r.dial(r.root.Client("MacID-1"))
	if got := token(t, c.get().served(t)); got.Verified || got.Subject != "" {
		t.Errorf("passthrough is told as %+v", got)
	}
	r.publish(stating)
	if got := token(t, c.get().served(t)); !got.Verified || got.Subject != "CN=MacID-1" {
		t.Errorf("verify is told as %+v", got)
	}
	r.publish(with(stating, "[token]", "[{token: {audience: everybody}}]"))
	if got := token(t, c.get().served(t)); got.Audience != "everybody" {
		t.Errorf("another audience is told as %+v", got)
	}
	r.publish(fleetConfig)
	if h := c.get().served(t); h.Get("X-Client-Identity-Token") != "" {
		t.Errorf("no token is configured, and one is sent: %v", h)
	}
}

func TestATokenFollowsTheStateOfADevice(t *testing.T) {
	f := startFleet(t, with(annotated, "identity_headers: [aws]", "identity_headers: [token]"))
	f.add(mac, countersign.DeviceActive)
	c := f.dial(f.root.Client("MacID-" + mac))
	state := func() string {
		got := token(t, c.get().served(t))
		if got.Device.ID != mac {
			t.Fatalf("%+v", got)
		}
		return got.Device.State
	}
	if s := state(); s != "active" {
		t.Fatalf("it is told as %q", s)
	}
	f.do("suspend", mac)
	for end := time.Now().Add(patience); state() != "suspended"; {
		if time.Now().After(end) {
			t.Fatal("a device that is suspended is told as active on")
		}
	}
}

func TestAnonymousClientsAreStatedAsSuch(t *testing.T) {
	r := start(t, with(stating, "{mode: verify, trust_store: fleet}", "{mode: optional, trust_store: fleet}"))
	var nobody *testpki.Certificate
	if got := token(t, r.dial(nobody).get().served(t)); got.Verified || got.Subject != "" || got.Audience != "app" {
		t.Errorf("%+v", got)
	}
}

// Requests of one connection may show different credentials: each is told with its
// own, and none is signed for twice.
func TestATokenStatesTheCredentialOfEachRequest(t *testing.T) {
	r := start(t, stating)
	r.file("keys.txt", []byte(apikey.Line("acme", "secret-of-acme")+"\n"+apikey.Line("ajax", "secret-of-ajax")+"\n"))
	r.publish("credentials: [{name: customers, type: api_key, keys: keys.txt}]\n" +
		with(stating, "client_auth: {mode: verify, trust_store: fleet}", "client_auth: {mode: optional, trust_store: fleet}\n    require: [customers]"))
	before := r.signs.made.Load()
	c := r.dial(nil)
	for range 3 {
		for _, who := range []string{"acme", "ajax"} {
			got := token(t, c.get("X-Api-Key: secret-of-"+who).served(t))
			if got.Credential.Subject != who || got.Credential.Name != "customers" || got.Credential.Type != "api_key" || got.Verified || got.Subject != "" {
				t.Errorf("%s is told as %+v", who, got)
			}
		}
	}
	if n := r.signs.made.Load() - before; n != 2 {
		t.Errorf("%d signatures for two credentials", n)
	}
}

// A request that waited for a place at a target is told with a token of the moment
// at which it goes there.
func TestARequestThatWaitedIsNotToldWithAnOldToken(t *testing.T) {
	held, free := make(chan struct{}), make(chan struct{})
	backend := serve(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		if q.Header.Get("X-Hold") != "" {
			close(held)
			<-free
		}
		json.NewEncoder(w).Encode(q.Header)
	})
	r := startBefore(t, backend, with(fleetConfig, "identity_headers: [aws]", "identity_headers: [{token: {lifetime: 10s}}]",
		`targets: ["BACKEND"]`, `targets: ["BACKEND"], max_connections: 1, queue: {timeout: 1m}`))
	release := sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	first, second := r.dial(r.root.Client("MacID-1")), r.dial(r.root.Client("MacID-2"))
	first.send("X-Hold: yes")
	<-held
	second.send()
	for r.signs.made.Load() < 2 { // the second is decided upon
		time.Sleep(time.Millisecond)
	}
	for decided := time.Now().Unix(); time.Now().Unix() <= decided+5; { // until its token is half as old as it may become
		time.Sleep(10 * time.Millisecond)
	}
	sent := time.Now().Unix()
	release()
	first.reply().served(t)
	if got := token(t, second.reply().served(t)); got.IssuedAt < sent || got.Subject != "CN=MacID-2" {
		t.Errorf("released at %d, told by %+v", sent, got)
	}
}
