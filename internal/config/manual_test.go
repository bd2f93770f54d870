package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The struct is the manual: every key is explained, and the explanation tells
// the default that the tag sets.
func TestEveryKeyIsExplained(t *testing.T) {
	packages, err := parser.ParseDir(token.NewFileSet(), ".", func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, p := range packages {
		ast.Inspect(p, func(n ast.Node) bool {
			f, ok := n.(*ast.Field)
			if !ok || f.Tag == nil {
				return true
			}
			quoted, _ := strconv.Unquote(f.Tag.Value)
			tag := reflect.StructTag(quoted)
			key, tagged := tag.Lookup("yaml")
			if !tagged {
				return true
			}
			keys++
			doc := strings.Join(strings.Fields(f.Doc.Text()), " ")
			if len(doc) < 20 {
				t.Errorf("key %q has no comment that explains it", key)
			}
			said := strings.ReplaceAll(tag.Get("default"), "|", ", ")
			if said != "" && !strings.Contains(doc, "Default "+said) {
				t.Errorf("key %q: the comment does not say %q:\n%s", key, "Default "+said, doc)
			}
			if said == "" && strings.Contains(doc, ". Default ") {
				t.Errorf("key %q: the comment tells a default that the tag does not set:\n%s", key, doc)
			}
			for _, word := range strings.FieldsFunc(tag.Get("one"), func(r rune) bool { return r == '|' }) {
				if !strings.Contains(doc, word) {
					t.Errorf("key %q: the comment does not explain %q:\n%s", key, word, doc)
				}
			}
			return true
		})
	}
	if keys < 80 {
		t.Errorf("only %d keys seen: has the test lost sight of them?", keys)
	}
}

// The shape of the whole configuration is known: each key is decoded, or is
// said not to be supported yet.
func TestWholeShapeIsKnown(t *testing.T) {
	data, err := os.ReadFile("testdata/config.shape.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, faults := Parse("config.shape.yaml", data, "dir")
	later := 0
	for _, f := range faults {
		if strings.Contains(f.Found, "unknown key") {
			t.Errorf("a key of the shape is unknown: %v", f)
		}
		if strings.Contains(f.String(), "not supported yet") {
			later++
		}
	}
	if later < 1 {
		t.Errorf("only %d keys and words are not supported yet", later)
	}
}

func TestDefaults(t *testing.T) {
	c, faults := Load("testdata/least.good.yaml")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := &Config{
		Node: Node{Admin: Admin{Address: "127.0.0.1:9901"}, MaxConnections: 100_000, ShutdownTimeout: 30 * time.Second, SeenClients: 100_000, Store: "sqlite", Signing: Signing{Rotate: 24 * time.Hour}},
		Logs: Logs{Program: ProgramLog{Format: "text"}},
		Listeners: []Listener{{
			Name: "web", Address: ":8080", Protocol: "http",
			TLS:           TLS{Policy: "modern"},
			ProxyProtocol: ProxyProtocol{Accept: "off", Timeout: 5 * time.Second},
			ClientAuth:    ClientAuth{Mode: countersign.ClientAuthOff, MaxChainDepth: 4, OnFailure: countersign.OnFailureClose, Close: countersign.CloseFinish, Resumption: true},
			Devices:       "off",
			Forwarded:     "append",
			Limits:        Limits{RequestLine: 16 << 10, Header: 16 << 10, Headers: 64 << 10, Body: 0, ResponseHeaders: 32 << 10, WaitingHandshakes: 10_000, CredentialFailures: 60},
			Timeouts: Timeouts{
				Handshake: 10 * time.Second, Headers: 10 * time.Second, Idle: time.Minute, ResetIdle: true, TCPKeepAlive: 30 * time.Second, KeepAlive: time.Hour, Response: time.Minute,
			},
			Default: Action{Forward: []Share{{TargetGroup: "api", Weight: 1}}},
		}},
		TargetGroups: []TargetGroup{{
			Name: "api", Protocol: "http", Targets: []Target{{Address: "127.0.0.1:9001", Weight: 1}}, Algorithm: "round_robin", HashOn: "client", AnomalyMitigation: "off", CrossZone: true, Queue: Queue{Length: 1000, Timeout: 10 * time.Second},
			FailOpen: true, Retries: Retries{Attempts: 2}, DeregistrationDelay: 5 * time.Minute, ConnectTimeout: 5 * time.Second,
			Timeouts: TargetTimeouts{TCPKeepAlive: 15 * time.Second},
		}},
	}
	compare(t, want, c)
	if diff := cmp.Diff([]string{"testdata/least.good.yaml"}, c.Files()); diff != "" {
		t.Error(diff)
	}
}

func TestBalancingIsDecoded(t *testing.T) {
	c, faults := Load("testdata/balancing.good.yaml")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if c.Node.Zone != "a" {
		t.Errorf("zone %q", c.Node.Zone)
	}
	g := c.TargetGroups[0]
	if diff := cmp.Diff([]Target{{"10.0.0.1:80", 3, "a"}, {"10.0.0.2:80", 1, "b"}, {"dns:api.example.com:8080", 1, ""}, {"srv:_http._tcp.api.example.com", 0, ""}}, g.Targets); diff != "" {
		t.Error(diff)
	}
	if g.CrossZone || g.SlowStart != 30*time.Second || g.MaxConnections != 100 || g.Queue != (Queue{50, 2 * time.Second}) {
		t.Errorf("%+v", g)
	}
	if diff := cmp.Diff(&Stickiness{By: "cookie", Duration: time.Hour, Cookie: "stay", SameSite: "strict"}, g.Stickiness); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&PassiveHealth{Failures: 3, Ejection: 10 * time.Second, MaxEjected: 20, Statuses: Matcher{{500, 599}}}, g.PassiveHealth); diff != "" {
		t.Error(diff)
	}
	if g := c.TargetGroups[1]; g.Algorithm != "hash" || g.HashOn != "header:x-user" || g.Stickiness.By != "client" {
		t.Errorf("%+v", g)
	}
	if g := c.TargetGroups[2]; g.Algorithm != "weighted_random" || g.AnomalyMitigation != "on" || g.PassiveHealth == nil || g.PassiveHealth.Failures != 5 {
		t.Errorf("%+v", g)
	}
}

func TestEveryKeyIsDecoded(t *testing.T) {
	t.Setenv("COUNTERSIGN_TEST_PORT", "9001")
	c, faults := Load("testdata/all.good.yaml")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var sum [32]byte
	for i := range sum {
		sum[i] = byte(i)
	}
	if got := c.Listeners[0].ServerNames[0].Names; !cmp.Equal(got, []string{"ops.example.com", "*.ops.example.com"}) {
		t.Errorf("names %q", got)
	}
	want := ClientAuth{
		Mode: countersign.ClientAuthOptional, TrustStore: "fleet", AdvertiseCANames: true, IgnoreExpiry: true,
		MaxChainDepth: 3, OnFailure: countersign.OnFailureRespond, Close: countersign.CloseNow, Resumption: false,
	}
	compare(t, want, c.Listeners[0].ClientAuth)
	// It stands alone: nothing of the listener's is in it.
	compare(t, ClientAuth{Mode: countersign.ClientAuthVerify, TrustStore: "ops", MaxChainDepth: 4, OnFailure: countersign.OnFailureClose, Close: countersign.CloseFinish, Resumption: true},
		c.Listeners[0].ServerNames[0].ClientAuth)
	compare(t, []IdentityHeader{{Dialect: "aws"}, {Set: "X-Client-Info", Value: "{subject}"}}, c.Listeners[0].IdentityHeaders)
	compare(t, Limits{8 << 10, 8192, 32 << 10, 1 << 30, 16 << 10, 8, 500, 60}, c.Listeners[0].Limits)
	compare(t, []Certificate{{Cert: "testdata/server.crt", Key: "testdata/server.key"}, {Cert: "/etc/ops.crt", Key: "/etc/ops.key"}}, c.Listeners[0].Certificates)
	compare(t, TrustStore{
		Name:     "fleet",
		CABundle: []Source{{URL: "testdata/ca.crt", Timeout: 30 * time.Second}, {URL: "testdata/old-ca.crt", Timeout: 30 * time.Second}},
		Refresh:  5 * time.Minute,
		Accept: []Filter{
			{SubjectCN: []string{"MacID-*"}, SubjectOU: []string{"devices", "test"}},
			{SANDNS: []string{"*.fleet"}, SANURI: []string{"spiffe://fleet/*"}},
			{SPKIPin: []SPKIPin{sum}},
			{Fingerprint: []Fingerprint{sum}},
		},
		Keys:       KeyRules{RSAMin: 3072, ECDSA: []string{"P-256"}, Ed25519: true},
		Revocation: &Revocation{CRLs: []Source{{URL: "testdata/revoked.crl", Timeout: 30 * time.Second}}, Refresh: 5 * time.Minute, Scope: "chain", Missing: "refuse", Stale: "refuse", Grace: 24 * time.Hour, OCSP: &OCSP{Mode: "off", Timeout: 2 * time.Second}},
		Limits:     TrustLimits{1, 2 << 10, 3, 16 << 20, 4, 5 << 20, 6},
	}, c.TrustStores[0])
	compare(t, TargetGroup{
		Name: "api", Protocol: "http", Algorithm: "round_robin",
		Targets: []Target{{Address: "backend.example.com:9001", Weight: 1}, {Address: "10.0.0.1:80", Weight: 1}},
		HashOn:  "client", AnomalyMitigation: "off", CrossZone: true, Queue: Queue{Length: 1000, Timeout: 10 * time.Second},
		HealthCheck: &HealthCheck{
			Protocol: "http", Path: "/healthz?deep=1", Interval: 2 * time.Second, Timeout: 2 * time.Second,
			Healthy: 3, Unhealthy: 4, Matcher: Matcher{{200, 200}, {300, 399}},
		},
		Retries: Retries{3}, ConnectTimeout: 500 * time.Millisecond, Timeouts: TargetTimeouts{TCPKeepAlive: 15 * time.Second},
		ProxyProtocol: &Announcement{Version: 2, TLVs: []string{"ssl", "ssl_client_cert", "authority", "alpn", "unique_id", "crc32c"}},
	}, c.TargetGroups[0])
	compare(t, &AccessLog{Path: "testdata/logs/access.log", Format: "combined"}, c.Logs.Access)
	compare(t, []string{
		"testdata/all.good.yaml", "/etc/ops.crt", "/etc/ops.key", "testdata/ca.crt", "testdata/old-ca.crt", "testdata/ops.crt",
		"testdata/revoked.crl", "testdata/server.crt", "testdata/server.key",
	}, c.Files())
	compare(t, []string{"X-Client-Info"}, c.OwnHeaders())
}

func TestHealthChecksOfAGroupFollowItsProtocol(t *testing.T) {
	c, faults := Load("testdata/grpc.good.yaml")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	check := func(protocol, path string, m Matcher) *HealthCheck {
		return &HealthCheck{Protocol: protocol, Path: path, Interval: 10 * time.Second, Timeout: 5 * time.Second, Healthy: 2, Unhealthy: 2, Matcher: m}
	}
	const standard = "/grpc.health.v1.Health/Check"
	want := map[string]*HealthCheck{
		"rpc": check("grpc", standard, Matcher{{0, 0}}),
		"alb": check("grpc", "/AWS.ALB/healthcheck", Matcher{{12, 12}}),
		"get": check("http", "/", Matcher{{200, 399}}),
		"web": check("http", "/healthz", Matcher{{200, 399}}),
		"all": check("grpc", standard, Matcher{{0, 99}}),
	}
	want["rpc"].Interval, want["rpc"].Timeout = 2*time.Second, 2*time.Second
	for _, g := range c.TargetGroups {
		compare(t, want[g.Name], g.HealthCheck)
	}
}

func compare(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLaterFaultsHaveTheirPlace(t *testing.T) {
	t.Setenv("COUNTERSIGN_TEST_PORT", "9001")
	c, faults := Load("testdata/all.good.yaml")
	if c == nil {
		t.Fatal(faults)
	}
	for path, want := range map[string]string{
		"listeners[0].certificates[1].key":        "testdata/all.good.yaml:15:35",
		"trust_stores[0].ca_bundle[1]":            "testdata/all.good.yaml:46:25",
		"trust_stores[0].revocation.crls[0]":      "testdata/all.good.yaml:54:24", // one alone
		"trust_stores[1].keys.rsa_min":            "testdata/all.good.yaml:56:5",  // a default: the store it is of
		"listeners[1].client_auth.trust_store[0]": "testdata/all.good.yaml:40:5",
	} {
		f := c.Warn(path, "X", "Y", "Z")
		if got, _, _ := strings.Cut(f.String(), ": "); got != want || !f.Warning {
			t.Errorf("%s: at %s, want %s", path, got, want)
		}
	}
	if got := (&Config{}).Fault("a.b", "x", "y", "z"); got.Path != "a.b" {
		t.Errorf("%+v", got)
	}
}

func TestLoadOfWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing.yaml"): ": found a file that cannot be read (no such file or directory), expected a configuration file",
		dir:                                ": found a file that cannot be read (is a directory), expected a configuration file",
		large:                              ": found more than 1048576 bytes, expected a configuration file",
	} {
		c, faults := Load(path)
		if c != nil || len(faults) != 1 || faults[0].String() != path+want {
			t.Errorf("%s: %v\n got %v\nwant %s", path, c != nil, faults, path+want)
		}
	}
}

// As many faults as a file can hold are told in a time in which a person waits.
func TestManyFaults(t *testing.T) {
	start := time.Now()
	_, faults := Parse("f", []byte("target_groups:\n  - {name: api, targets: ["+strings.Repeat(`"b:1", `, 20_000)+"]}\n"), "dir")
	if len(faults) < 19_999 {
		t.Errorf("%d faults: %.300v", len(faults), faults)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

func TestMatcher(t *testing.T) {
	var m Matcher
	if err := m.UnmarshalText([]byte("200, 300-302")); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[int]bool{199: false, 200: true, 201: false, 299: false, 300: true, 301: true, 302: true, 303: false} {
		if m.Match(code) != want {
			t.Errorf("%d: %v", code, !want)
		}
	}
	if got := m.String(); got != "200,300-302" {
		t.Errorf("as text %q", got)
	}
	for _, text := range []string{"", "x", "-", "1-", "-1", "+1", "01", "1000", "2-1", "1,,2", "1-2-3", "99999999999999999999"} {
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		c, faults := Parse("f", data, "dir")
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if (c == nil) != (faults.Err() != nil) {
			t.Fatalf("config %v with faults %v", c != nil, faults)
		}
		for _, fault := range faults {
			if line := fault.String(); strings.ContainsAny(line, "\n\r\x00") {
				t.Errorf("a fault of more than a line: %q", line)
			}
		}
		if c == nil {
			return
		}
		// What the rest of the program takes for granted.
		for _, l := range c.Listeners {
			if len(l.Default.kinds()) != 1 || l.Default.Refuse != "" && !l.Streams() || l.Timeouts.Handshake <= 0 || l.Limits.Header <= 0 || l.Protocol == "https" && len(l.Certificates) == 0 {
				t.Errorf("a listener that cannot be: %+v", l)
			}
			if auth := l.ClientAuth; (auth.Mode == countersign.ClientAuthVerify || auth.Mode == countersign.ClientAuthOptional) && auth.TrustStore == "" {
				t.Errorf("a client_auth without a trust store: %+v", auth)
			}
		}
	})
}
