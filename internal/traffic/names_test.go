package traffic_test

import (
	"crypto/tls"
	"testing"

	"countersign.dev/internal/testpki"
)

// namesConfig has an open listener with two names, and everything below them,
// under a policy of their own (peers.md T10, T11, T14).
var namesConfig = with(fleetConfig, "client_auth: {mode: verify, trust_store: fleet}", `client_auth: {mode: off}
    server_names:
      - {names: [ops.example.com, admin.example.com], client_auth: {mode: verify, trust_store: fleet}}
      - {names: ["*.ops.example.com"], client_auth: {mode: optional, trust_store: fleet}}`)

func named(name string) func(*tls.Config) { return func(c *tls.Config) { c.ServerName = name } }

// A host of another policy is misdirected on any request of a connection (RFC
// 9110 section 15.5.20), in any spelling, and never reaches a backend.
func TestAHostOfAnotherPolicyIsMisdirected(t *testing.T) {
	for _, tc := range []struct {
		name string
		sni  string
		cert bool
		host string
		want int
	}{
		{"open name, protected host", "open.example.com", false, "ops.example.com", 421},
		{"with a certificate that nobody asked for", "open.example.com", true, "ops.example.com", 421},
		{"trailing dot", "open.example.com", false, "ops.example.com.", 421},
		{"upper case", "open.example.com", false, "OPS.Example.COM", 421},
		{"port", "open.example.com", false, "ops.example.com:443", 421},
		{"dot and port", "open.example.com", false, "Ops.Example.com.:8443", 421},
		{"below the wildcard", "open.example.com", false, "x.ops.example.com", 421},
		{"below the wildcard, spelled otherwise", "open.example.com", false, "X.OPS.example.com.:1", 421},
		{"deeper than the wildcard is the default's", "open.example.com", false, "a.b.ops.example.com", 200},
		{"an unknown host is the default's", "open.example.com", false, "elsewhere.example.org", 200},
		{"an address is the default's", "open.example.com", false, "127.0.0.1", 200},
		{"no name, protected host", "", false, "ops.example.com", 421},
		{"no name, open host", "", false, "open.example.com", 200},
		{"protected name, open host", "ops.example.com", true, "open.example.com", 421},
		{"protected name, its host", "ops.example.com", true, "ops.example.com", 200},
		{"protected name, its host spelled otherwise", "ops.example.com", true, "OPS.example.com.:8443", 200},
		{"another name of the same policy", "ops.example.com", true, "admin.example.com", 200},
		{"specific name, host below the wildcard", "ops.example.com", true, "x.ops.example.com", 421},
		{"name below the wildcard, specific host", "x.ops.example.com", true, "ops.example.com", 421},
		{"name below the wildcard, another one", "x.ops.example.com", true, "y.ops.example.com", 200},
		{"upper case in the ClientHello", "OPS.example.com", true, "ops.example.com", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := start(t, namesConfig)
			var cert *testpki.Certificate
			if tc.cert {
				cert = r.root.Client("MacID-1")
			}
			c := r.dial(cert, func(cfg *tls.Config) {
				cfg.ServerName, cfg.InsecureSkipVerify = tc.sni, true // what clients ask for, not what they believe
			})
			// First a request that is fine, so that what follows is a later one
			// of a keep-alive connection.
			own := tc.sni
			if own == "" {
				own = "open.example.com"
			}
			c.host = own
			c.get().served(t)
			c.host = tc.host
			if p := c.get(); tc.want == 200 {
				p.served(t)
			} else {
				p.refused(t, 421, "MisdirectedRequest")
			}
			c.host = own
			c.get().served(t) // the connection is as good as before
			r.stop()
			if lines, _ := r.journal.of(event{"event": "access", "elb_status_code": 421}); len(lines) > 0 && lines[0]["target"] != nil {
				t.Errorf("a misdirected request was offered to a target: %v", lines[0])
			}
		})
	}
}

// An absolute request target counts, not the Host field beside it (RFC 9112
// section 3.2.2).
func TestTheHostOfAnAbsoluteTargetCounts(t *testing.T) {
	r := start(t, namesConfig)
	c := r.dial(nil, named("open.example.com"))
	if _, err := c.conn.Write([]byte("GET http://ops.example.com/ HTTP/1.1\r\nHost: open.example.com\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if p := c.reply(); p.StatusCode != 421 && p.StatusCode != 400 {
		t.Errorf("got %d %s", p.StatusCode, p.body)
	}
}

func TestAHostThatIsNoNameIsABadRequest(t *testing.T) {
	for _, host := range []string{"a b", "ops..example.com", "[::1", "ops.example.com:99999", "ops.example.com/", "user@ops.example.com"} {
		t.Run(host, func(t *testing.T) {
			r := start(t, namesConfig)
			c := r.dial(nil, named("open.example.com"))
			c.host = host
			c.get().refused(t, 400, "BadRequest")
		})
	}
}

// What belongs to which policy is looked up anew after a reload.
func TestAHostThatMovesToAnotherPolicyIsMisdirectedFromThenOn(t *testing.T) {
	r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", "{mode: off}", "trust_stores:", "trust_stores:"))
	c := r.dial(nil, named("open.example.com"))
	c.host = "ops.example.com"
	c.get().served(t)
	r.publish(namesConfig)
	c.get().refused(t, 421, "MisdirectedRequest")
}
