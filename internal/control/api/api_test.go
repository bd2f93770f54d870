package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev"
	"countersign.dev/client"
	"countersign.dev/internal/control/audit"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bell is a noun: it can be looked at and rung.
type bell struct{ rung atomic.Int64 }

type rings struct {
	Rung int64 `json:"rung"`
}

func (b *bell) register(a *API) {
	state := func(context.Context, *nothing) (*rings, error) { return &rings{b.rung.Load()}, nil }
	operation(a, http.MethodGet, "/bell", "get-bell", "Look at the bell", state)
	operation(a, http.MethodPost, "/bell/ring", "ring-bell", "Ring the bell", func(ctx context.Context, in *struct {
		Softly bool `query:"softly"`
		Body   *struct {
			Hours int `json:"hours" maximum:"12"`
		}
	}) (*rings, error) {
		if in.Softly {
			return nil, refuse(http.StatusConflict, "bell_is_loud", "this bell cannot be rung softly")
		}
		tell(ctx, "it rang")
		return &rings{b.rung.Add(1)}, nil
	})
	operation(a, http.MethodGet, "/letters", "list-letters", "Some letters", func(_ context.Context, in *struct{ Paging }) (*client.Page[string], error) {
		return pageOf(strings.Split("dacbe", ""), func(s string) string { return s }, in.Paging), nil
	})
}

// A tower is a bell with an API on a real server.
type tower struct {
	*testing.T
	bell
	api     *API
	rules   Rules
	dir     string
	token   string
	address string
	from    atomic.Pointer[net.TCPAddr] // whom the server sees; nil: the truth
	secure  *tls.Config
	log     bytes.Buffer
}

type elsewhere struct {
	net.Conn
	from net.Addr
}

func (c elsewhere) RemoteAddr() net.Addr { return c.from }

type door struct {
	net.Listener
	t *tower
}

func (d door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if from := d.t.from.Load(); from != nil {
		c = elsewhere{c, from}
	}
	if d.t.secure != nil {
		c = tls.Server(c, d.t.secure)
	}
	return c, nil
}

func newTower(t *testing.T, secure *tls.Config) *tower {
	t.Helper()
	b := &tower{T: t, dir: t.TempDir(), secure: secure}
	var err error
	if b.api, err = New(Config{Version: "1", Nouns: []Noun{&b.bell}, Logger: slog.New(slog.NewTextHandler(&b.log, nil))}); err != nil {
		t.Fatal(err)
	}
	if b.rules.Token, err = OpenToken(b.dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(b.dir, TokenName))
	if err != nil {
		t.Fatal(err)
	}
	b.token = strings.TrimSpace(string(text))
	trail, err := audit.Open(b.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trail.Close() })
	b.rules.Trail = trail
	b.enforce()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = l.Addr().String()
	server := &http.Server{Handler: b.api, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(door{l, b}) }()
	t.Cleanup(func() { server.Close(); <-served })
	return b
}

func (b *tower) enforce() {
	rules := b.rules
	b.api.Enforce(&rules)
}

// An ask is a request.
type ask struct {
	method, path string
	header       map[string]string
	host, body   string
	anonymous    bool
	with         *http.Client
}

func (b *tower) ask(q ask) (*http.Response, client.Problem, string) {
	b.Helper()
	if q.method == "" {
		q.method = "GET"
	}
	if q.with == nil {
		q.with = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	scheme := "http://"
	if b.secure != nil {
		scheme = "https://"
	}
	r, err := http.NewRequest(q.method, scheme+b.address+q.path, strings.NewReader(q.body))
	if err != nil {
		b.Fatal(err)
	}
	if !q.anonymous {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	r.Host = q.host
	resp, err := q.with.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	var p client.Problem
	if resp.StatusCode >= 300 {
		if err := json.Unmarshal(data, &p); err != nil || p.Status != resp.StatusCode || p.Title == "" || p.Detail == "" || p.Code == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
			b.Errorf("%s %s: no problem document: %s %q", q.method, q.path, resp.Header.Get("Content-Type"), data)
		}
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		b.Errorf("%s %s may be cached", q.method, q.path)
	}
	return resp, p, string(data)
}

func (b *tower) trail() []audit.Entry {
	b.Helper()
	f, err := os.Open(filepath.Join(b.dir, audit.Name))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var all []audit.Entry
	for line, err := range audit.Lines(f) {
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, line.Entry)
	}
	return all
}

func TestWhoMay(t *testing.T) {
	b := newTower(t, nil)
	far := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4000}
	for name, tt := range map[string]struct {
		q      ask
		from   *net.TCPAddr
		status int
		code   string
	}{
		"the token":               {q: ask{}, status: 200},
		"over IPv6 in IPv4":       {q: ask{}, from: &net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1"), Port: 1}, status: 200},
		"from ::1":                {q: ask{}, from: &net.TCPAddr{IP: net.IPv6loopback, Port: 1}, status: 200},
		"the scheme has no case":  {q: ask{header: map[string]string{"Authorization": "bearer " + b.token}}, status: 200},
		"localhost":               {q: ask{host: "LOCALHOST:9901"}, status: 200},
		"an IPv6 address as host": {q: ask{host: "[::1]:9901"}, status: 200},
		"nothing":                 {q: ask{anonymous: true}, status: 401, code: "credentials_missing"},
		"another token":           {q: ask{header: map[string]string{"Authorization": "Bearer " + strings.Repeat("0", 64)}}, status: 401, code: "credentials_refused"},
		"a part of the token":     {q: ask{header: map[string]string{"Authorization": "Bearer " + b.token[:63]}}, status: 401, code: "credentials_refused"},
		"no token after Bearer":   {q: ask{header: map[string]string{"Authorization": "Bearer "}}, status: 401, code: "credentials_refused"},
		"another scheme":          {q: ask{header: map[string]string{"Authorization": "Basic " + b.token}}, status: 401, code: "credentials_refused"},
		"the token from afar":     {q: ask{}, from: far, status: 403, code: "token_from_elsewhere"},
		"nothing from afar":       {q: ask{anonymous: true}, from: far, status: 403, code: "operators_not_configured"},
		"a rebound name":          {q: ask{host: "attacker.example"}, status: 421, code: "host_unknown"},
		"a name like an address":  {q: ask{host: "127.0.0.1.attacker.example"}, status: 421, code: "host_unknown"},
		"a page of another site":  {q: ask{header: map[string]string{"Origin": "https://attacker.example"}}, status: 403, code: "browser_refused"},
		"a page without origin":   {q: ask{header: map[string]string{"Origin": "null"}}, status: 403, code: "browser_refused"},
		"an image of a page":      {q: ask{header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, status: 403, code: "browser_refused"},
		"nothing, where nothing":  {q: ask{anonymous: true, path: "/v1/nothing"}, status: 401, code: "credentials_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.q.path == "" {
				tt.q.path = "/v1/bell"
			}
			b.from.Store(tt.from)
			resp, p, body := b.ask(tt.q)
			if resp.StatusCode != tt.status || p.Code != tt.code {
				t.Errorf("GET is answered %d %s, want %d %s", resp.StatusCode, body, tt.status, tt.code)
			}
			if challenged := resp.Header.Get("WWW-Authenticate") != ""; challenged != (tt.status == 401) {
				t.Error("WWW-Authenticate is for 401 (RFC 9110 section 15.5.2)")
			}
			before, lines := b.rung.Load(), len(b.trail())
			tt.q.method, tt.q.path = "POST", strings.Replace(tt.q.path, "/bell", "/bell/ring", 1)
			resp, p, body = b.ask(tt.q)
			if resp.StatusCode != tt.status || p.Code != tt.code {
				t.Errorf("POST is answered %d %s, want %d %s", resp.StatusCode, body, tt.status, tt.code)
			}
			if (b.rung.Load() > before) != (tt.status == 200) {
				t.Errorf("it rang: %t", b.rung.Load() > before)
			}
			if tt.status != 200 {
				all := b.trail()
				last := all[len(all)-1]
				if len(all) != lines+1 || last.Event != audit.Refused || last.Code != tt.code || last.Who.Kind != "nobody" {
					t.Errorf("the trail has %+v", all[lines:])
				}
			}
		})
	}
	b.from.Store(nil)
	if strings.Contains(b.log.String(), b.token) {
		t.Error("the token is in the log")
	}
}

func TestAChangeIsInTheTrailWithItsOutcome(t *testing.T) {
	b := newTower(t, nil)
	b.ask(ask{method: "POST", path: "/v1/bell/ring"})
	b.ask(ask{method: "POST", path: "/v1/bell/ring?softly=true"})
	b.ask(ask{method: "POST", path: "/v1/bell/ring?loudly=true"})
	b.ask(ask{method: "POST", path: "/v1/bell/ring", body: `{"hours": 13}`})
	b.ask(ask{method: "PATCH", path: "/v1/bell"})
	b.ask(ask{path: "/v1/bell"}) // looking changes nothing
	all := b.trail()
	type line struct {
		event  audit.Event
		req    uint64
		status int
		code   string
	}
	want := []line{
		{audit.Requested, 1, 0, ""}, {audit.Done, 1, 200, ""},
		{audit.Requested, 3, 0, ""}, {audit.Failed, 3, 409, "bell_is_loud"},
		{audit.Requested, 5, 0, ""}, {audit.Failed, 5, 422, "invalid_request"},
		{audit.Requested, 7, 0, ""}, {audit.Failed, 7, 422, "invalid_request"},
		{audit.Requested, 9, 0, ""}, {audit.Failed, 9, 405, "method_not_allowed"},
	}
	if len(all) != len(want) {
		t.Fatalf("%d lines, want %d: %+v", len(all), len(want), all)
	}
	for i, e := range all {
		if got := (line{e.Event, e.Request, e.Status, e.Code}); got != want[i] || e.Who.Kind != "token:local" || !e.From.Addr().IsLoopback() {
			t.Errorf("line %d: %+v, want %+v", i+1, e, want[i])
		}
	}
	if all[1].Detail != "it rang" || all[3].Query != "softly=true" || all[3].Path != "/v1/bell/ring" {
		t.Errorf("%+v, %+v", all[1], all[3])
	}
	if b.rung.Load() != 1 {
		t.Errorf("it rang %d times", b.rung.Load())
	}
}

type fullDisk struct{}

func (fullDisk) Append(audit.Entry) (uint64, error) { return 0, errors.New("no space left on device") }

func TestWithoutATrailNothingIsChanged(t *testing.T) {
	b := newTower(t, nil)
	for _, trail := range []Trail{nil, fullDisk{}} {
		b.rules.Trail = trail
		b.enforce()
		if resp, p, _ := b.ask(ask{method: "POST", path: "/v1/bell/ring"}); resp.StatusCode != 503 || p.Code != "audit_unavailable" || b.rung.Load() != 0 {
			t.Errorf("%d %+v, it rang %d times", resp.StatusCode, p, b.rung.Load())
		}
		if resp, _, _ := b.ask(ask{path: "/v1/bell"}); resp.StatusCode != 200 {
			t.Errorf("looking: %d", resp.StatusCode)
		}
		if resp, p, _ := b.ask(ask{method: "POST", path: "/v1/bell/ring", anonymous: true}); resp.StatusCode != 401 {
			t.Errorf("a stranger is told more: %d %+v", resp.StatusCode, p)
		}
	}
	b.rules = Rules{Off: "node.data_dir is not set"}
	b.enforce()
	if resp, p, _ := b.ask(ask{path: "/v1/bell"}); resp.StatusCode != 503 || p.Code != "api_off" || !strings.Contains(p.Detail, "node.data_dir") {
		t.Errorf("%d %+v", resp.StatusCode, p)
	}
}

func TestStrangersCannotFillTheDisk(t *testing.T) {
	b := newTower(t, nil)
	for range toldAMinute + 7 {
		b.ask(ask{method: "POST", path: "/v1/bell/ring", anonymous: true})
	}
	if n := len(b.trail()); n != toldAMinute {
		t.Errorf("%d lines, want %d", n, toldAMinute)
	}
	b.api.mu.Lock()
	b.api.refused.since = time.Now().Add(-time.Hour)
	b.api.mu.Unlock()
	b.ask(ask{method: "POST", path: "/v1/bell/ring", anonymous: true})
	if all := b.trail(); all[len(all)-1].Untold != 7 {
		t.Errorf("%+v", all[len(all)-1])
	}
}

func TestAPageEndsAndGoesOn(t *testing.T) {
	b := newTower(t, nil)
	for path, want := range map[string]string{
		"/v1/letters":                 `{"items":["a","b","c","d","e"]}`,
		"/v1/letters?limit=2":         `{"items":["a","b"],"next":"b"}`,
		"/v1/letters?limit=2&after=b": `{"items":["c","d"],"next":"d"}`,
		"/v1/letters?limit=2&after=d": `{"items":["e"]}`,
		"/v1/letters?after=bb":        `{"items":["c","d","e"]}`,
		"/v1/letters?after=z":         `{"items":[]}`,
	} {
		if _, _, body := b.ask(ask{path: path}); strings.TrimSpace(body) != want {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
	for path, status := range map[string]int{
		"/v1/letters?limit=0": 422, "/v1/letters?limit=1001": 422, "/v1/letters?limit=x": 422, "/v1/letters?limit=1&limit=2": 422,
		"/v1/letters?Limit=1": 422, "/v1/letters?page=1": 422, "/v1/letters?after=": 422, "/v1/letters?limit=1;after=b": 422, "/v1/letters?%zz": 422,
		"/v1/letter": 404, "/v1/": 404, "/v1/letters/": 404,
	} {
		if resp, _, body := b.ask(ask{path: path}); resp.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", path, resp.StatusCode, body, status)
		}
	}
	resp, _, _ := b.ask(ask{method: "DELETE", path: "/v1/letters"})
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d, Allow: %s (RFC 9110 section 15.5.6)", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

// operators is a store of operators with some revoked.
func operators(t *testing.T, ca *testpki.Certificate, revoked ...*testpki.Certificate) *handshake.Policy {
	t.Helper()
	lists, err := crl.Parse("operators.crl", ca.CRL(testpki.Revoke(revoked...)))
	if err != nil {
		t.Fatal(err)
	}
	store, err := verify.New(verify.Config{Name: "operators", Anchors: []*x509.Certificate{ca.X509},
		Revocation: revocation.Config{Lists: lists, Scope: "leaf", Missing: "refuse", Stale: "refuse"}})
	if err != nil {
		t.Fatal(err)
	}
	return &handshake.Policy{Name: "node.admin", Mode: countersign.ClientAuthVerify, Store: store}
}

func TestAnOperatorShowsACertificate(t *testing.T) {
	ca := testpki.NewRoot(t, "operators")
	node := ca.Server("node", testpki.DNS("node.example.com"), testpki.IP("127.0.0.1"))
	alice, bob := ca.Client("alice"), ca.Client("bob")
	stranger := testpki.NewRoot(t, "elsewhere").Client("stranger")
	b := newTower(t, &tls.Config{Certificates: []tls.Certificate{node.TLS()}, ClientAuth: tls.RequestClientCert})
	b.from.Store(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4000})
	b.rules.Certificates = []*x509.Certificate{node.X509}
	b.rules.Operators = operators(t, ca, bob)
	b.enforce()

	as := func(c *testpki.Certificate) *http.Client {
		cfg := &tls.Config{RootCAs: ca.Pool(), ServerName: "node.example.com"}
		if c != nil {
			pair := c.TLS()
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		transport := &http.Transport{TLSClientConfig: cfg}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	for name, tt := range map[string]struct {
		who    *testpki.Certificate
		host   string
		status int
		code   string
		says   string
	}{
		"an operator":              {alice, "", 200, "", ""},
		"by the node's name":       {alice, "node.example.com:9901", 200, "", ""},
		"by another name":          {alice, "other.example.com", 421, "host_unknown", ""},
		"a revoked operator":       {bob, "", 403, "certificate_refused", "ClientCertCrlHit"},
		"an expired one":           {ca.Client("carol", testpki.Expired()), "", 403, "certificate_refused", "ClientCertExpired"},
		"of another authority":     {stranger, "", 403, "certificate_refused", "ClientCertUntrusted"},
		"a server's certificate":   {ca.Server("other"), "", 403, "certificate_refused", "ClientCertPurposeInvalid"},
		"who shows no certificate": {nil, "", 401, "credentials_missing", "a certificate that the trust store"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, p, body := b.ask(ask{path: "/v1/bell", anonymous: true, with: as(tt.who), host: tt.host})
			if resp.StatusCode != tt.status || p.Code != tt.code || !strings.Contains(p.Detail, tt.says) {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, body, tt.status, tt.code)
			}
		})
	}
	if resp, p, _ := b.ask(ask{path: "/v1/bell", with: as(alice)}); resp.StatusCode != 403 || p.Code != "token_from_elsewhere" {
		t.Errorf("the token from afar, though with a certificate: %d %s", resp.StatusCode, p.Code)
	}

	// Who is revoked while connected has no further request answered.
	kept := as(alice)
	b.ask(ask{method: "POST", path: "/v1/bell/ring", anonymous: true, with: kept})
	b.rules.Operators = operators(t, ca, bob, alice)
	b.enforce()
	if resp, p, _ := b.ask(ask{method: "POST", path: "/v1/bell/ring", anonymous: true, with: kept}); resp.StatusCode != 403 || p.Code != "certificate_refused" {
		t.Errorf("revoked on a connection that is kept: %d %s", resp.StatusCode, p.Code)
	}
	if b.rung.Load() != 1 {
		t.Errorf("it rang %d times", b.rung.Load())
	}
	all := b.trail()
	first, last := all[0], all[len(all)-1]
	if first.Who.Kind != "certificate" || first.Who.Subject != "CN=alice" || first.Who.Fingerprint != fingerprint(alice.X509.Raw) || first.From.Addr().String() != "192.0.2.7" {
		t.Errorf("%+v", first)
	}
	if last.Event != audit.Refused || last.Who.Kind != "nobody" || last.Who.Subject != "CN=alice" || !strings.Contains(last.Detail, "ClientCertCrlHit") {
		t.Errorf("%+v", last)
	}
}

// A question is an Inquirer that lacks something once.
type question struct {
	asked atomic.Bool
	learn func()
}

func (q *question) Lacks([]*x509.Certificate, time.Time) bool { return !q.asked.Load() }
func (q *question) Inquire(context.Context, []*x509.Certificate, time.Time) {
	q.asked.Store(true)
	q.learn()
}

func TestWhatHasToBeAskedForDecides(t *testing.T) {
	ca := testpki.NewRoot(t, "operators")
	node, alice := ca.Server("node", testpki.IP("127.0.0.1")), ca.Client("alice")
	b := newTower(t, &tls.Config{Certificates: []tls.Certificate{node.TLS()}, ClientAuth: tls.RequestClientCert})
	policy := operators(t, ca)
	q := &question{learn: func() {
		b.rules.Operators = operators(t, ca, alice)
		b.enforce()
	}}
	policy.Inquirers = []handshake.Inquirer{q}
	b.rules.Certificates, b.rules.Operators = []*x509.Certificate{node.X509}, policy
	b.enforce()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{alice.TLS()}}}
	defer transport.CloseIdleConnections()
	resp, p, _ := b.ask(ask{path: "/v1/bell", anonymous: true, with: &http.Client{Transport: transport}})
	if resp.StatusCode != 403 || !strings.Contains(p.Detail, "ClientCertCrlHit") || !q.asked.Load() {
		t.Errorf("%d %+v, asked: %t", resp.StatusCode, p, q.asked.Load())
	}
}

func TestAPlainConnectionOfBeforeIsOver(t *testing.T) {
	b := newTower(t, nil)
	b.rules.Certificates = []*x509.Certificate{testpki.NewRoot(t, "ca").Server("node").X509}
	b.enforce()
	if resp, p, _ := b.ask(ask{path: "/v1/bell"}); resp.StatusCode != 403 || p.Code != "tls_required" {
		t.Errorf("%d %+v", resp.StatusCode, p)
	}
}

func TestATokenIsOneUsersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := OpenToken(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, TokenName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	text, _ := os.ReadFile(path)
	if again, err := OpenToken(dir); err != nil || again != first || !again.is(strings.TrimSpace(string(text))) || len(text) != 65 {
		t.Errorf("the second time: %v, %d bytes", err, len(text))
	}
	if (Token{}).is("") {
		t.Error("the zero token is that of nobody")
	}
	for want, spoil := range map[string]func() error{
		"mode 0640, expected 0600": func() error { return os.Chmod(path, 0o640) },
		"mode 0602, expected 0600": func() error { return os.Chmod(path, 0o602) },
		"is not what a node writes": func() error {
			os.Remove(path)
			return os.WriteFile(path, []byte("secret\n"), 0o600)
		},
		"too many levels of symbolic links": func() error {
			os.Rename(path, path+".away")
			return os.Symlink(path+".away", path)
		},
		"is not a file": func() error { os.Remove(path); return os.Mkdir(path, 0o700) },
	} {
		os.RemoveAll(path)
		if _, err := OpenToken(dir); err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenToken(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	os.RemoveAll(path)
	if other, err := OpenToken(dir); err != nil || other == first {
		t.Errorf("removed, it is another: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
