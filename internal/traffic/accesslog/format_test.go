package accesslog

import (
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev"
)

// instant parses a time as AWS writes it.
func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func traceID(s string) (id TraceID) {
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		panic(err)
	}
	return id
}

// resourceID makes our lines comparable with AWS's: the last part of the elb
// field is made from the name here and assigned there.
var resourceID = regexp.MustCompile(`(app/[^/ ]+)/[0-9a-f]{16}`)

func sameLine(t *testing.T, got []byte, want string) {
	t.Helper()
	g := resourceID.ReplaceAllString(strings.TrimSuffix(string(got), "\n"), "$1/ID")
	w := resourceID.ReplaceAllString(want, "$1/ID")
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("(-AWS +ours)\n%s", diff)
	}
}

// Lines of the user guide ("Connection logs", example entries), and lines of
// real load balancers of 2026, with fields 13 to 15 where the guide's example
// is older than they are.
func TestConnectionAsAWSWritesIt(t *testing.T) {
	tests := []struct {
		name string
		conn Connection
		want string
	}{
		{
			"user guide: refused, untrusted",
			Connection{
				Time:   instant("2023-10-04T17:05:15.514108Z"),
				Client: netip.MustParseAddrPort("203.0.113.1:36280"), ListenerPort: 443,
				Listener: "my-loadbalancer", LocalIP: netip.MustParseAddr("10.0.0.5"),
				TLSVersion: tls.VersionTLS12, Cipher: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
				Curve: tls.CurveP256, HandshakeLatency: -1,
				Certificate: &countersign.Identity{
					Subject:   "CN=amazondomains.com,O=endEntity,L=Seattle,ST=Washington,C=US",
					NotBefore: instant("2023-09-21T22:43:21Z"), NotAfter: instant("2026-06-17T22:43:21Z"),
					Serial: "FEF257372D5C14D4",
				},
				Denial:  countersign.Deny(countersign.StageVerify, countersign.ClientCertUntrusted, "no anchor"),
				TraceID: traceID("1c71a68d70587445ad5127ff8b2687d7"),
			},
			`2023-10-04T17:05:15.514108Z 203.0.113.1 36280 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 - "CN=amazondomains.com,O=endEntity,L=Seattle,ST=Washington,C=US" NotBefore=2023-09-21T22:43:21Z;NotAfter=2026-06-17T22:43:21Z FEF257372D5C14D4 Failed:ClientCertUntrusted TID_1c71a68d70587445ad5127ff8b2687d7 secp256r1 app/my-loadbalancer/50dc6c495c0c9188 10.0.0.5`,
		},
		{
			"real: admitted without a certificate",
			Connection{
				Time:   instant("2026-09-23T07:11:27.691358Z"),
				Client: netip.MustParseAddrPort("198.18.71.40:64326"), ListenerPort: 443,
				Listener: "k8s-web-0123456789", LocalIP: netip.MustParseAddr("192.0.2.57"),
				TLSVersion: tls.VersionTLS12, Cipher: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
				Curve: tls.CurveP256, HandshakeLatency: 337 * time.Millisecond,
				TraceID: traceID("9f39d9aa6a47774d97089313f949866b"),
			},
			`2026-09-23T07:11:27.691358Z 198.18.71.40 64326 443 TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 0.337 "-" - - Success TID_9f39d9aa6a47774d97089313f949866b secp256r1 app/k8s-web-0123456789/0123456789abcdef 192.0.2.57`,
		},
		{
			"real: a listener without TLS",
			Connection{
				Time:   instant("2026-09-23T07:11:32.882572Z"),
				Client: netip.MustParseAddrPort("198.51.100.159:61814"), ListenerPort: 80,
				Listener: "k8s-web-0123456789", LocalIP: netip.MustParseAddr("192.0.2.57"),
				TraceID: traceID("14bdaac20df9aa4ca3139b3168e4e071"),
			},
			`2026-09-23T07:11:32.882572Z 198.51.100.159 61814 80 - - - "-" - - - TID_14bdaac20df9aa4ca3139b3168e4e071 - app/k8s-web-0123456789/0123456789abcdef 192.0.2.57`,
		},
		{
			"a code that AWS does not have",
			Connection{
				Time:   instant("2026-09-23T07:11:32.882572Z"),
				Client: netip.MustParseAddrPort("[2001:db8::1]:61814"), ListenerPort: 443,
				Listener: "devices", LocalIP: netip.MustParseAddr("::ffff:192.0.2.57"),
				TLSVersion: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256, Curve: tls.X25519MLKEM768,
				HandshakeLatency: -1,
				Denial:           countersign.Deny(countersign.StageVerify, countersign.ClientCertMissing, "none presented"),
			},
			`2026-09-23T07:11:32.882572Z 2001:db8::1 61814 443 TLSv1.3 TLS_AES_128_GCM_SHA256 - "-" - - Failed:UnmappedConnectionError - X25519MLKEM768 app/devices/0123456789abcdef 192.0.2.57`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sameLine(t, appendConnectionAWS(nil, &tt.conn, new(clock)), tt.want)
		})
	}
}

// Lines of the user guide ("Access logs", example entries) and of real load
// balancers, with fields 31 to 34 where the example is older than they are.
func TestAccessAsAWSWritesIt(t *testing.T) {
	secure := &Connection{
		Client: netip.MustParseAddrPort("192.168.131.39:2817"), Listener: "my-loadbalancer", ListenerPort: 443,
		LocalIP:    netip.MustParseAddr("192.0.2.57"),
		TLSVersion: tls.VersionTLS12, Cipher: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		ServerName:        "www.example.com",
		ServerCertificate: "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012",
		TraceID:           traceID("1234abcd5678ef901234abcd5678ef90"),
	}
	resumed := *secure
	resumed.Resumed, resumed.TLSVersion, resumed.Cipher = true, tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256
	plain := &Connection{
		Client: netip.MustParseAddrPort("192.168.131.39:2817"), Listener: "my-loadbalancer", ListenerPort: 80,
		LocalIP: netip.MustParseAddr("192.0.2.57"), TraceID: secure.TraceID,
	}
	const group = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067"
	event := func(c *Connection, fill func(*Access)) *Access {
		a := newAccess().(*Access)
		a.Connection, a.Time, a.Created = c, instant("2018-07-02T22:23:00.186641Z"), instant("2018-07-02T22:22:48.364Z")
		fill(a)
		return a
	}
	forwarded := func(a *Access) {
		a.Request([]byte("GET"), []byte("/"), "HTTP/1.1")
		a.Host([]byte("www.example.com"))
		a.UserAgent([]byte("curl/7.46.0"))
		a.RequestTime, a.TargetTime, a.ResponseTime = 86*time.Millisecond, 48*time.Millisecond, 37*time.Millisecond
		a.Status, a.ReceivedBytes, a.SentBytes = 200, 0, 57
		a.Target("10.0.0.1:80", 200)
		a.TargetGroup, a.Actions, a.Rule = group, "forward", 1
		a.TraceID([]byte("Root=1-58337281-1d84f3d73c47ec4e58577259"))
	}
	tests := []struct {
		name  string
		event *Access
		want  string
	}{
		{
			"user guide: HTTP",
			event(plain, func(a *Access) {
				forwarded(a)
				a.RequestTime, a.TargetTime, a.ResponseTime = 0, time.Millisecond, 0
				a.ReceivedBytes, a.SentBytes, a.Rule = 34, 366, 0
				a.TraceID([]byte("Root=1-58337262-36d228ad5d99923122bbe354"))
			}),
			`http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - ` + group + ` "Root=1-58337262-36d228ad5d99923122bbe354" "-" "-" 0 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef901234abcd5678ef90 "-" "-" "-" 192.0.2.57`,
		},
		{
			"user guide: HTTPS",
			event(secure, forwarded),
			`https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ` + group + ` "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef901234abcd5678ef90 "-" "-" "-" 192.0.2.57`,
		},
		{
			"user guide: WebSockets",
			event(plain, func(a *Access) {
				a.WebSocket = true
				a.Request([]byte("GET"), []byte("/"), "HTTP/1.1")
				a.Host([]byte("10.0.0.30:80"))
				a.RequestTime, a.TargetTime, a.ResponseTime = time.Millisecond, 3*time.Millisecond, 0
				a.Status, a.ReceivedBytes, a.SentBytes = 101, 218, 587
				a.Target("10.0.1.192:8010", 101)
				a.TargetGroup, a.Actions, a.Rule = group, "forward", 1
				a.TraceID([]byte("Root=1-58337364-23a8c76965a2ef7629b185e3"))
			}),
			`ws 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.1.192:8010 0.001 0.003 0.000 101 101 218 587 "GET http://10.0.0.30:80/ HTTP/1.1" "-" - - ` + group + ` "Root=1-58337364-23a8c76965a2ef7629b185e3" "-" "-" 1 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.1.192:8010" "101" "-" "-" TID_1234abcd5678ef901234abcd5678ef90 "-" "-" "-" 192.0.2.57`,
		},
		{
			"real: not HTTP",
			event(plain, func(a *Access) { a.Status, a.SentBytes = 400, 272 }),
			`http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - -1 -1 -1 400 - 0 272 "- http://192.0.2.57:80- -" "-" - - - "-" "-" "-" - 2018-07-02T22:22:48.364000Z "-" "-" "-" "-" "-" "-" "-" TID_1234abcd5678ef901234abcd5678ef90 "-" "-" "-" 192.0.2.57`,
		},
		{
			"real: resumed session",
			event(&resumed, forwarded),
			`https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" TLS_AES_128_GCM_SHA256 TLSv1.3 ` + group + ` "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "session-reused" 1 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef901234abcd5678ef90 "-" "-" "-" 192.0.2.57`,
		},
		{
			"redirect, rewrite, classification",
			event(secure, func(a *Access) {
				a.Request([]byte("GET"), []byte("/old"), "HTTP/1.1")
				a.Host([]byte("www.example.com:8443"))
				a.Redirect([]byte("https://www.example.com/new"))
				a.Transformed([]byte("inner"), []byte("/x"))
				a.Status, a.Rule, a.Actions, a.TransformStatus = 301, 2, "redirect", "TransformSuccess"
				a.Classification, a.ClassificationReason = "Acceptable", "NonCompliantHeader"
			}),
			`https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - -1 -1 -1 301 - 0 0 "GET https://www.example.com:8443/old HTTP/1.1" "-" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 - "-" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 2 2018-07-02T22:22:48.364000Z "redirect" "https://www.example.com/new" "-" "-" "-" "Acceptable" "NonCompliantHeader" TID_1234abcd5678ef901234abcd5678ef90 "inner" "/x" "TransformSuccess" 192.0.2.57`,
		},
		{
			"two targets tried, none answered",
			event(secure, func(a *Access) {
				forwarded(a)
				a.targets = a.targets[:0]
				a.Target("10.0.0.1:80", 0)
				a.Target("10.0.0.2:80", 0)
				a.TargetTime, a.ResponseTime, a.Status = -1, -1, 502
				a.Denial = countersign.Deny(countersign.StageForward, countersign.TargetConnectFailed, "refused")
			}),
			`https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.2:80 0.086 -1 -1 502 - 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ` + group + ` "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 2018-07-02T22:22:48.364000Z "forward" "-" "TargetConnectFailed" "10.0.0.1:80 10.0.0.2:80" "- -" "-" "-" TID_1234abcd5678ef901234abcd5678ef90 "-" "-" "-" 192.0.2.57`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sameLine(t, appendAccessAWS(nil, tt.event, new(clock)), tt.want)
		})
	}
}

func TestRequestIsAnAbsoluteURL(t *testing.T) {
	tests := []struct{ host, target, want string }{
		{"a.example", "/p?q=1", "GET https://a.example:8443/p?q=1 HTTP/1.1"},
		{"a.example:443", "/", "GET https://a.example:443/ HTTP/1.1"},
		{"[2001:db8::1]", "/", "GET https://[2001:db8::1]:8443/ HTTP/1.1"},
		{"[2001:db8::1]:1", "/", "GET https://[2001:db8::1]:1/ HTTP/1.1"},
		{"", "/", "GET https://[2001:db8::57]:8443/ HTTP/1.1"},
		{"ignored", "HTTP://b.example/x", "GET HTTP://b.example/x HTTP/1.1"},
		{"two words", "/a b", `GET https://two\x20words:8443/a\x20b HTTP/1.1`},
	}
	conn := &Connection{TLSVersion: tls.VersionTLS13, ListenerPort: 8443, LocalIP: netip.MustParseAddr("2001:db8::57")}
	for _, tt := range tests {
		a := newAccess().(*Access)
		a.Connection = conn
		a.Request([]byte("GET"), []byte(tt.target), "HTTP/1.1")
		a.Host([]byte(tt.host))
		if got := string(appendRequest(nil, a)); got != tt.want {
			t.Errorf("Host %q, target %q: got %s, want %s", tt.host, tt.target, got, tt.want)
		}
	}
}

func TestCombined(t *testing.T) {
	conn := &Connection{
		Client: netip.MustParseAddrPort("203.0.113.1:36280"), TrustStore: "fleet",
		Certificate: &countersign.Identity{CommonNames: []string{"pump 7"}},
	}
	a := newAccess().(*Access)
	a.Connection, a.Time = conn, instant("2000-10-10T13:55:36Z")
	a.Request([]byte("GET"), []byte("/apache_pb.gif"), "HTTP/1.0")
	a.Referer([]byte("http://www.example.com/start.html"))
	a.UserAgent([]byte("Mozilla/4.08 [en] (Win98; I ;Nav)"))
	a.Status, a.SentBytes = 200, 2326
	want := `203.0.113.1 - pump\x207 [10/Oct/2000:13:55:36 +0000] "GET /apache_pb.gif HTTP/1.0" 200 2326 "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"` + "\n"
	if diff := cmp.Diff(want, string(appendCombined(nil, a, new(clock)))); diff != "" {
		t.Error(diff)
	}

	// A name that nobody vouches for is not the user's.
	conn.TrustStore = ""
	empty := newAccess().(*Access)
	empty.Connection, empty.Time = conn, a.Time
	want = `203.0.113.1 - - [10/Oct/2000:13:55:36 +0000] "-" - 0 "-" "-"` + "\n"
	if diff := cmp.Diff(want, string(appendCombined(nil, empty, new(clock)))); diff != "" {
		t.Error(diff)
	}
}

func TestJSONSaysEverything(t *testing.T) {
	conn := &Connection{
		Time: instant("2026-11-22T10:00:00Z"), Client: netip.MustParseAddrPort("203.0.113.1:36280"),
		Listener: "devices", ListenerPort: 8443, LocalIP: netip.MustParseAddr("192.0.2.57"),
		TLSVersion: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256, Curve: tls.X25519, ALPN: "http/1.1",
		ServerName: "api.example.com", ServerCertificate: "server.crt", HandshakeLatency: 1500 * time.Microsecond,
		Certificate: &countersign.Identity{
			Subject: `CN=a\"b,O=caf\C3\A9`, Issuer: "CN=ca", Serial: "03A5B1", Fingerprint: [32]byte{0xab, 31: 0xcd},
			NotBefore: instant("2026-01-01T00:00:00Z"), NotAfter: instant("2027-01-01T00:00:00Z"),
		},
		TrustStore: "fleet",
		Denial:     countersign.Deny(countersign.StageVerify, countersign.ClientCertMissing, "none\nat all"),
		TraceID:    traceID("1234abcd5678ef901234abcd5678ef90"),
	}
	peer := map[string]any{
		"listener": "devices", "listener_port": 8443., "local_ip": "192.0.2.57",
		"client_ip": "203.0.113.1", "client_port": 36280.,
		"tls_protocol": "TLSv1.3", "tls_cipher": "TLS_AES_128_GCM_SHA256", "tls_keyexchange": "X25519",
		"alpn": "http/1.1", "server_name": "api.example.com", "server_certificate": "server.crt", "resumed": false,
		"subject": `CN=a\"b,O=caf\C3\A9`, "issuer": "CN=ca", "serial": "03A5B1",
		"fingerprint": "sha256:ab" + strings.Repeat("00", 30) + "cd", "trust_store": "fleet",
		"conn_trace_id": "TID_1234abcd5678ef901234abcd5678ef90",
		"denial_stage":  "verify", "denial_code": "ClientCertMissing", "denial_reason": "none\nat all",
	}
	with := func(more map[string]any) map[string]any {
		all := map[string]any{}
		for _, m := range []map[string]any{peer, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	decode := func(line []byte) map[string]any {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		return m
	}

	got := decode(appendConnectionJSON(nil, conn, new(clock)))
	want := with(map[string]any{
		"event": "connection", "time": "2026-11-22T10:00:00.000000Z", "tls_handshake_latency": 0.0015,
		"not_before": "2026-01-01T00:00:00.000000Z", "not_after": "2027-01-01T00:00:00.000000Z",
		"tls_verify_status": "Failed:ClientCertMissing",
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("connection: %s", diff)
	}

	a := newAccess().(*Access)
	a.Connection, a.Denial, a.WebSocket = conn, conn.Denial, true
	a.Time, a.Created = instant("2026-11-22T10:00:01Z"), instant("2026-11-22T10:00:00.5Z")
	a.Request([]byte("POST"), []byte("/\xff\u2028\U0001f600\x7f"), "HTTP/1.1")
	a.Host([]byte("h"))
	a.UserAgent([]byte("ua"))
	a.Referer([]byte("r"))
	a.TraceID([]byte("Root=1"))
	a.Redirect([]byte("to"))
	a.Transformed([]byte("th"), []byte("tu"))
	a.Target("10.0.0.1:80", 0)
	a.Target("10.0.0.2:80", 503)
	a.RequestTime, a.TargetTime = time.Microsecond, 2*time.Second
	a.Status, a.ReceivedBytes, a.SentBytes = 503, 1, 2
	a.TargetGroup, a.Rule, a.Actions, a.TransformStatus = "api", 0, "forward", "ts"
	a.Classification, a.ClassificationReason = "c", "cr"
	got = decode(appendAccessJSON(nil, a, new(clock)))
	want = with(map[string]any{
		"event": "access", "time": "2026-11-22T10:00:01.000000Z", "type": "wss",
		"method": "POST", "host": "h", "path": "/\ufffd\u2028\U0001f600\x7f", "protocol": "HTTP/1.1",
		"elb_status_code": 503., "target_group": "api", "target": "10.0.0.2:80", "target_status_code": 503.,
		"attempts":              []any{map[string]any{"target": "10.0.0.1:80"}, map[string]any{"target": "10.0.0.2:80", "status": 503.}},
		"request_creation_time": "2026-11-22T10:00:00.500000Z", "request_processing_time": 0.000001,
		"target_processing_time": 2., "received_bytes": 1., "sent_bytes": 2., "user_agent": "ua", "referer": "r",
		"trace_id": "Root=1", "matched_rule_priority": 0., "actions_executed": "forward", "redirect_url": "to",
		"classification": "c", "classification_reason": "cr", "transformed_host": "th", "transformed_uri": "tu",
		"request_transform_status": "ts",
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("access: %s", diff)
	}
}

func TestClockRemembersOnlyTheSecond(t *testing.T) {
	c := new(clock)
	for _, s := range []string{"2026-11-22T10:00:01.000001Z", "2026-11-22T10:00:01.999999Z",
		"2026-11-22T10:00:00Z", "1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z"} {
		at := instant(s)
		if got, want := string(c.appendMicro(nil, at)), at.Format("2006-01-02T15:04:05.000000Z"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0.000", 499 * time.Microsecond: "0.000",
		500 * time.Microsecond: "0.001", 999999 * time.Microsecond: "1.000", 3 * time.Hour: "10800.000"} {
		if got := string(appendSeconds(nil, d)); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestTraceIDsDiffer(t *testing.T) {
	seen := map[TraceID]bool{}
	for range 1000 {
		seen[NewTraceID()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different identifiers of 1000", len(seen))
	}
	if got := fmt.Sprint(NewTraceID()); !regexp.MustCompile(`^TID_[0-9a-f]{32}$`).MatchString(got) {
		t.Errorf("got %s", got)
	}
}

func TestJSONSaysWhatABalancerSaid(t *testing.T) {
	c := &Connection{Client: netip.MustParseAddrPort("203.0.113.1:36280"), Proxy: &Proxy{
		Peer: netip.MustParseAddrPort("10.0.0.9:5000"), Version: 2, Source: netip.MustParseAddrPort("203.0.113.1:36280"),
		Destination: netip.MustParseAddrPort("198.51.100.2:443"), Authority: "api.example.com", VPCEndpoint: "vpce-1a", UniqueID: []byte("id-1"),
	}}
	got := checkObject(t, appendConnectionJSON(nil, c, new(clock)))
	for name, want := range map[string]any{
		"client_ip": "203.0.113.1", "proxy_ip": "10.0.0.9", "proxy_port": 5000., "proxy_version": 2., "proxy_destination_ip": "198.51.100.2",
		"proxy_destination_port": 443., "proxy_authority": "api.example.com", "proxy_vpc_endpoint": "vpce-1a", "proxy_unique_id": "id-1",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	c.Proxy.UniqueID = []byte{0, 0xff}
	if got := checkObject(t, appendConnectionJSON(nil, c, new(clock)))["proxy_unique_id"]; got != "0x00ff" {
		t.Errorf("an id that is no text is %v", got)
	}
}
