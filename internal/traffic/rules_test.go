package traffic_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
	"countersign.dev/internal/testpki"
)

// ruled is fleetConfig with rules, clients of which may come without a certificate.
func ruled(rules string) string {
	return with(fleetConfig, "client_auth: {mode: verify, trust_store: fleet}", "client_auth: {mode: optional, trust_store: fleet}",
		"    default: {forward: app}", "    rules:\n      "+strings.ReplaceAll(strings.TrimSpace(rules), "\n", "\n      ")+"\n    default: {forward: app}")
}

// called is a backend that answers with its name, the host and what it was asked for.
func called(t testing.TB, name string) string {
	return serve(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		fmt.Fprintf(w, "%s %s %s", name, q.Host, q.RequestURI)
	})
}

// A browser asks by HTTP/1.1 or HTTP/2, and follows nothing.
type browser struct {
	t      testing.TB
	client *nethttp.Client
	base   string
}

// browsers returns one for each version of HTTP.
func (r *rig) browsers(cert *testpki.Certificate) map[string]*browser {
	all := map[string]*browser{}
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		cfg := &tls.Config{RootCAs: r.server.Issuer.Pool(), ServerName: "localhost"}
		if cert != nil {
			cfg.Certificates = []tls.Certificate{cert.TLS()}
		}
		transport := &nethttp.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: version == "HTTP/2.0"}
		r.t.Cleanup(transport.CloseIdleConnections)
		all[version] = &browser{t: r.t, base: "https://" + r.address("127.0.0.1:0"), client: &nethttp.Client{
			Transport: transport, Timeout: patience,
			CheckRedirect: func(*nethttp.Request, []*nethttp.Request) error { return nethttp.ErrUseLastResponse },
		}}
	}
	return all
}

// ask sends a request, the path of which is sent as it is.
func (b *browser) ask(method, target, body string) (*nethttp.Response, string) {
	b.t.Helper()
	q, err := nethttp.NewRequestWithContext(b.t.Context(), method, b.base+"/", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	q.URL.Opaque, q.Host = target, "localhost"
	res, err := b.client.Do(q)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res, string(text)
}

// One listener, three audiences: anybody, the certificates of one authority, the
// certificates with a URI of operators. Each gets exactly its own, by HTTP/1.1 and
// HTTP/2, whatever way it spells what it wants.
func TestOneListenerServesThreeAudiences(t *testing.T) {
	ops := testpki.NewRoot(t, "Ops CA")
	public, device, console := called(t, "public"), called(t, "device"), called(t, "ops")
	r := start(t, fleetConfig)
	r.file("ca.crt", append(r.root.PEM(), ops.PEM()...))
	r.publish(with(ruled(`
- {name: public, when: {path: "/public/*"}, forward: public}
- {name: device, when: {path: "/device/*", client: {issuer_cn: "Fleet Root"}}, forward: device}
- {name: ops, when: {path: "/ops/*", client: {san_uri: "spiffe://ops/*"}}, forward: ops}
- {name: others, when: {path: ["/device/*", "/ops/*"]}, require: client_certificate, respond: {status: 403, body: "not yours"}}
`), "default: {forward: app}", "default: {respond: {status: 404, body: nothing}}",
		`  - {name: app, targets: ["BACKEND"]}`,
		`  - {name: public, targets: ["`+public+`"]}
  - {name: device, targets: ["`+device+`"]}
  - {name: ops, targets: ["`+console+`"]}`))
	const missing, not = "ClientCertMissing", "not yours"
	for who, tt := range map[string]struct {
		cert        *testpki.Certificate
		device, ops string
	}{
		"nobody":        {nil, missing, missing},
		"a device":      {r.root.Client("MacID-1"), "device", not},
		"an operator":   {ops.Client("ada", testpki.URI("spiffe://ops/ada")), not, "ops"},
		"another of it": {ops.Client("eve", testpki.URI("spiffe://other/ops/eve")), not, not},
		"both":          {r.root.Client("MacID-2", testpki.URI("spiffe://ops/x")), "device", "ops"},
	} {
		for version, b := range r.browsers(tt.cert) {
			for path, want := range map[string]string{
				"/public/a?b": "public", "/device/a": tt.device, "/ops/a": tt.ops, "/%6Fps/a": tt.ops, "/ops/b/../a": tt.ops, "/": "nothing", "/ops": "nothing",
				"/public/../ops/a": "AmbiguousPath", "/public/..%2fops/a": "AmbiguousPath", "/public/..;/ops/a": "AmbiguousPath", "/ops%2fa": "AmbiguousPath",
			} {
				res, text := b.ask("GET", path, "")
				status := 200
				switch want {
				case missing, not:
					status = 403
				case "nothing":
					status = 404
				case "AmbiguousPath":
					status = 400
				}
				if res.Proto != version || res.StatusCode != status || !strings.Contains(text, want) || status == 200 && !strings.HasSuffix(text, " "+path) {
					t.Errorf("%s, %s %s: %s %d %q, want %d with %q", who, version, path, res.Proto, res.StatusCode, text, status, want)
				}
			}
		}
	}
	r.dial(nil).ask("GET //ops/a HTTP/1.1", "Host: localhost").refused(t, 400, "AmbiguousPath")
	r.journal.wait(t, event{"event": "access", "matched_rule_priority": 2, "matched_rule_name": "device", "actions_executed": "forward", "target_group": "device"})
	r.journal.wait(t, event{"event": "access", "matched_rule_priority": 4, "matched_rule_name": "others", "denial_code": missing, "elb_status_code": 403})
	r.journal.wait(t, event{"event": "access", "matched_rule_priority": 4, "actions_executed": "fixed-response", "elb_status_code": 403, "subject": "CN=ada"})
	r.journal.wait(t, event{"event": "access", "matched_rule_priority": 0, "actions_executed": "fixed-response", "elb_status_code": 404})
	r.journal.wait(t, event{"event": "access", "denial_code": "AmbiguousPath", "elb_status_code": 400})
}

func TestRedirectsLeadWhereTheTemplateSays(t *testing.T) {
	r := start(t, ruled(`
- {when: {path: "/old/*"}, redirect: {status: 301, to: "https://#{host}/new#{path}?#{query}"}}
- {when: {path: "/cut/*"}, redirect: {status: 308, to: "/#{1}"}}
- {when: {path: "/open*"}, redirect: "/#{1}"}
- {when: {path: "regex:^/u/([0-9]+)/(.*)$"}, redirect: {status: 307, to: "https://users.example.com:#{port}/#{2}/#{1}"}}
- {when: {path: "/all"}, redirect: {status: 303, to: "#{protocol}://#{host}:#{port}/there?from=#{path}&#{query}"}}
`))
	_, port, _ := strings.Cut(r.address("127.0.0.1:0"), ":")
	for version, b := range r.browsers(nil) {
		for _, tt := range []struct {
			target, location string
			status           int
		}{
			{"/old/a%20b?c=d", "https://localhost/new/old/a%20b?c=d", 301},
			{"/old/", "https://localhost/new/old/", 301},
			{"/cut/a/b", "/a/b", 308},
			{"/cut/%41", "/A", 308},
			{"/open/evil.example", "/evil.example", 302},
			{"/open%5Cevil.example", "/%5Cevil.example", 302},
			{"/u/12/x", "https://users.example.com:" + port + "/x/12", 307},
			{"/all?q=%0d%0aX", "https://localhost:" + port + "/there?from=/all&q=%0d%0aX", 303},
			{"/all", "https://localhost:" + port + "/there?from=/all", 303},
		} {
			for _, body := range []string{"", "content"} {
				res, text := b.ask("POST", tt.target, body)
				if res.StatusCode != tt.status || res.Header.Get("Location") != tt.location || text != "" || len(res.Header["X"]) > 0 {
					t.Errorf("%s %s: %d %q %q, want %d %q", version, tt.target, res.StatusCode, res.Header["Location"], text, tt.status, tt.location)
				}
			}
		}
	}
	r.journal.wait(t, event{"actions_executed": "redirect", "redirect_url": "/a/b", "matched_rule_priority": 2, "elb_status_code": 308, "target_status_code": nil})
}

func TestFixedAnswersAreGiven(t *testing.T) {
	r := start(t, fleetConfig)
	r.file("page.html", []byte("<p>\nclosed\n"))
	config := ruled(`
- {when: {path: "/robots.txt"}, respond: {body: "none", type: "text/plain; charset=utf-8"}}
- {when: {path: "/empty"}, respond: {status: 204}}
- {when: {path: "/page"}, respond: {status: 503, type: text/html, file: page.html}}
`)
	r.publish(config)
	for version, b := range r.browsers(nil) {
		for _, tt := range []struct {
			method, path, kind, body string
			status                   int
			length                   int64
		}{
			{"GET", "/robots.txt", "text/plain; charset=utf-8", "none", 200, 4},
			{"HEAD", "/robots.txt", "text/plain; charset=utf-8", "", 200, 4},
			{"GET", "/empty", "", "", 204, 0},
			{"GET", "/page", "text/html", "<p>\nclosed\n", 503, 11},
		} {
			res, text := b.ask(tt.method, tt.path, "")
			_, sized := res.Header["Content-Length"]
			if res.StatusCode != tt.status || res.Header.Get("Content-Type") != tt.kind || text != tt.body || res.Header.Get("Cache-Control") != "" ||
				tt.status != 204 && res.ContentLength != tt.length || tt.status == 204 && sized {
				t.Errorf("%s %s %s: %d %v %q", version, tt.method, tt.path, res.StatusCode, res.Header, text)
			}
		}
	}
	// The file is part of the configuration.
	r.file("page.html", []byte("soon"))
	r.publish(config)
	if _, text := r.browsers(nil)["HTTP/1.1"].ask("GET", "/page", ""); text != "soon" {
		t.Errorf("after a change of the file: %q", text)
	}
	r.journal.wait(t, event{"actions_executed": "fixed-response", "matched_rule_priority": 3, "elb_status_code": 503})
}

// A connection goes on behind an answer of our own, and ends behind one to a request
// whose content nobody has read.
func TestAConnectionOutlivesAFixedAnswer(t *testing.T) {
	r := start(t, ruled(`- {when: {path: "/"}, respond: {body: "here"}}`))
	c := r.dial(nil)
	for range 3 {
		if got := c.get(); got.body != "here" || got.Close {
			t.Errorf("%+v", got)
		}
	}
	c.send("Content-Length: 5")
	if _, err := io.WriteString(c.conn, "01234"); err != nil {
		t.Fatal(err)
	}
	if got := c.reply(); got.body != "here" {
		t.Errorf("with content: %+v", got)
	}
}

func TestTargetsAreAskedForWhatIsRewritten(t *testing.T) {
	r := startBefore(t, called(t, "app"), ruled(`
- {when: {path: "/api/*"}, rewrite: {path: "/#{1}"}, forward: app}
- {when: {path: "regex:^/u/([0-9]+)$"}, rewrite: {host: "users.internal", path: "/users?id=#{1}"}, forward: app}
- {when: {host: "*.example.com", path: "/h/*"}, rewrite: {host: "#{host.1}.internal"}, forward: app}
`))
	for version, b := range r.browsers(nil) {
		for target, want := range map[string]string{
			"/api/v1/x?y=1": "app localhost /v1/x?y=1", "/api/": "app localhost /", "/api/%7Ea//b": "app localhost /~a/b", "/api/a/../b?": "app localhost /b?",
			"/u/12?a=b": "app users.internal /users?id=12", "/other?x": "app localhost /other?x", "/other//%7E": "app localhost /other//%7E",
		} {
			if res, text := b.ask("GET", target, ""); res.StatusCode != 200 || text != want {
				t.Errorf("%s %s: %d %q, want %q", version, target, res.StatusCode, text, want)
			}
		}
	}
	c := r.dial(nil, func(cfg *tls.Config) { cfg.ServerName = "a.example.com" })
	if got := c.ask("GET /h/x HTTP/1.1", "Host: A.example.com:8443"); got.body != "app A.internal /h/x" {
		t.Errorf("%q", got.body)
	}
	r.journal.wait(t, event{"transformed_host": "users.internal", "transformed_uri": "/users?id=12", "request_transform_status": "TransformSuccess", "request_uri": nil})
}

// ask sends a request of these lines.
func (c *client) ask(lines ...string) reply {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
	return c.reply()
}

// A route that requires a certificate says so to who has none, over both versions;
// with on_failure: close it says nothing, and the connection ends.
func TestARouteAsksForACertificateByItself(t *testing.T) {
	r := start(t, ruled(`
- {when: {path: "/told"}, require: [client_certificate], forward: app}
- {when: {path: "/closed"}, require: [client_certificate], on_failure: close, forward: app}
`))
	known := r.root.Client("MacID-1")
	for version, b := range r.browsers(known) {
		for _, path := range []string{"/told", "/closed", "/"} {
			if res, text := b.ask("GET", path, ""); res.StatusCode != 200 {
				t.Errorf("%s %s: %d %s", version, path, res.StatusCode, text)
			}
		}
	}
	for version, b := range r.browsers(nil) {
		if res, text := b.ask("GET", "/told", ""); res.StatusCode != 403 || !strings.Contains(text, "ClientCertMissing") {
			t.Errorf("%s: %d %s", version, res.StatusCode, text)
		}
		if res, text := b.ask("GET", "/", ""); res.StatusCode != 200 {
			t.Errorf("%s, after that: %d %s", version, res.StatusCode, text)
		}
	}

	c := r.dial(nil)
	c.get().served(t)
	if _, err := io.WriteString(c.conn, "GET /closed HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	c.ended()

	two := r.dial2(nil)
	id := two.head(":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/closed")
	for two.got[id] == nil || !two.got[id].reset {
		if err := two.read(); err != nil {
			t.Fatalf("the stream was not reset: %v", err)
		}
	}
	if got := two.got[id]; got.status != 0 || got.code != h2.ErrCodeCancel {
		t.Errorf("%+v", got)
	}
	for two.away == nil {
		if err := two.read(); err != nil {
			t.Fatalf("the connection was not told to end: %v", err)
		}
	}
	r.journal.wait(t, event{"event": "access", "denial_code": "ClientCertMissing", "matched_rule_priority": 2, "elb_status_code": nil})
}

// T11, T15: however a host is spelled, the rule for it takes the request.
func TestARuleForAHostTakesEverySpelling(t *testing.T) {
	r := start(t, ruled(`- {when: {host: open.example.com}, respond: {body: open}}
- {when: {host: "*.example.com"}, respond: {body: other}}`))
	for host, want := range map[string]string{
		"open.example.com": "open", "OPEN.Example.COM": "open", "open.example.com.": "open", "open.example.com:443": "open", "open.example.com.:1": "open",
		"x.example.com": "other", "open.example.com.example.com": "other",
	} {
		c := r.dial(nil, func(cfg *tls.Config) { cfg.ServerName = "open.example.com" })
		if got := c.ask("GET / HTTP/1.1", "Host: "+host); got.body != want {
			t.Errorf("%s: %q, want %q", host, got.body, want)
		}
		if got := c.ask("GET http://"+host+"/ HTTP/1.1", "Host: "+host); got.body != want {
			t.Errorf("%s as a target: %q, want %q", host, got.body, want)
		}
	}
	c := r.dial(nil)
	if got := c.ask("GET http://open.example.com/ HTTP/1.1", "Host: x.example.com"); got.StatusCode != 400 {
		t.Errorf("two hosts: %d", got.StatusCode)
	}
}

// The rules of now hold for connections of before.
func TestALiveConnectionFollowsTheRules(t *testing.T) {
	before := ruled(`- {when: {client: {subject_cn: "MacID-*"}}, respond: {body: before}}`)
	r := start(t, before)
	c, b := r.dial(r.root.Client("MacID-1")), r.browsers(r.root.Client("MacID-1"))["HTTP/2.0"]
	ask := func(want string) {
		t.Helper()
		if got := c.get(); got.body != want {
			t.Errorf("HTTP/1.1: %q, want %q", got.body, want)
		}
		if _, got := b.ask("GET", "/", ""); got != want {
			t.Errorf("HTTP/2: %q, want %q", got, want)
		}
	}
	ask("before")
	r.publish(with(before, "MacID-*", "MacID-2*", "body: before}}", "body: before}}\n      - respond: {body: after}"))
	ask("after")
}

// Rules cost a request no allocation.
func TestARequestUnderRulesAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and lets pools forget")
	}
	r := startBefore(t, frugal(t), with(httpConfig, `logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}`, "logs: {}",
		"default: {forward: app}}", `default: {forward: app}, rules: [
      {when: {path: "/a/*", method: [GET, PUT], host: "*.example.com"}, forward: app},
      {when: {query: {z: "1*"}, header: {X-Beta: "*"}, source_ip: 10.0.0.0/8}, forward: app},
      {when: {path: "regex:^/y/[0-9]+$"}, forward: app},
      {when: {path: "/x", not: {method: PUT}}, rewrite: {path: "/z#{path}"}, forward: [{target_group: app, weight: 9}]}]}`))
	noAllocations(t, r.plain("127.0.0.1:0").conn)
}

// What is sent behind a request that is dropped is not taken for another one.
func TestNothingIsTakenFromBehindADroppedRequest(t *testing.T) {
	r := start(t, ruled(`- {when: {path: "/closed"}, require: [client_certificate], on_failure: close, forward: app}`))
	c := r.dial(nil)
	if _, err := io.WriteString(c.conn, "POST /closed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c.conn).ReadString('\n'); err == nil || errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %q", line)
	}
}

// Clients stay at the target group that they got first, as long as it gets requests.
func TestAClientStaysAtItsTargetGroup(t *testing.T) {
	blue, green := called(t, "blue"), called(t, "green")
	config := with(ruled(`- {name: canary, when: {path: "/"}, forward: [{target_group: blue, weight: 1}, {target_group: green, weight: 1}], stickiness: {duration: 1h}}`),
		"default: {forward: app}", "default: {forward: blue}", `  - {name: app, targets: ["BACKEND"]}`,
		`  - {name: blue, targets: ["`+blue+`"]}
  - {name: green, targets: ["`+green+`"]}`)
	r := start(t, config)
	home := map[string]string{} // a cookie of each
	c := r.dial(nil)
	for range 200 {
		got := c.get()
		name, _, _ := strings.Cut(got.body, " ")
		set := got.Header["Set-Cookie"]
		if len(set) != 1 || !strings.Contains(set[0], "; Max-Age=3600; HttpOnly; SameSite=Lax; Secure") || strings.Contains(set[0], name) {
			t.Fatalf("%s: %q", name, set)
		}
		home[name], _, _ = strings.Cut(set[0], ";")
	}
	if len(home) != 2 {
		t.Fatalf("of 200 requests, these were served: %v", home)
	}
	two := r.dial2(nil)
	for name, cookie := range home {
		for range 20 {
			if got := c.get("Cookie: a=b; " + cookie); !strings.HasPrefix(got.body, name+" ") || len(got.Header["Set-Cookie"]) > 0 {
				t.Errorf("HTTP/1.1, %s: %q %q", name, got.body, got.Header["Set-Cookie"])
			}
			id := two.send("cookie", "a=b", "cookie", cookie)
			for two.got[id] == nil || !two.got[id].ended {
				if err := two.read(); err != nil {
					t.Fatal(err)
				}
			}
			if got := two.got[id]; !strings.HasPrefix(got.body, name+" ") || len(got.header["Set-Cookie"]) > 0 {
				t.Errorf("HTTP/2, %s: %q %q", name, got.body, got.header)
			}
		}
		for _, forged := range []string{cookie[:len(cookie)-2], cookie + "x", strings.Replace(cookie, "=", "=A", 1), "countersign-group=x"} {
			if got := c.get("Cookie: " + forged); got.StatusCode != 200 || len(got.Header["Set-Cookie"]) != 1 {
				t.Errorf("%s: %d %q", forged, got.StatusCode, got.Header["Set-Cookie"])
			}
		}
	}
	r.publish(with(config, "{target_group: blue, weight: 1}", "{target_group: blue, weight: 0}"))
	if got := c.get("Cookie: " + home["blue"]); !strings.HasPrefix(got.body, "green ") || len(got.Header["Set-Cookie"]) != 1 {
		t.Errorf("without a weight: %q %q", got.body, got.Header["Set-Cookie"])
	}
}

// What the registry says now decides about the next request of a connection.
func TestARuleFollowsTheStateOfADevice(t *testing.T) {
	f := startFleet(t, with(annotated, "    default: {forward: app}", `    rules:
      - {when: {client: {device_state: [suspended, revoked]}}, respond: {status: 403, body: out}}
      - {when: {client: {device_state: active}}, respond: {body: in}}
    default: {respond: {status: 404, body: unknown}}`))
	const id = "AA:BB:CC:DD:EE:01"
	stranger := f.dial(f.device("AA:BB:CC:DD:EE:02"))
	f.add(id, countersign.DeviceActive)
	c := f.dial(f.device(id))
	becomes := func(want string) {
		t.Helper()
		f.until("a request of the same connection is answered "+want, func() bool { return c.get().body == want })
	}
	becomes("in")
	f.do("suspend", id)
	becomes("out")
	f.do("resume", id)
	becomes("in")
	if got := stranger.get(); got.body != "unknown" {
		t.Errorf("a device that nobody knows: %q", got.body)
	}
}
