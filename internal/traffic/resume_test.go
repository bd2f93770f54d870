package traffic_test

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
)

// resuming makes connections of one client share a session cache, at one
// version of TLS.
func resuming(version uint16) func(*tls.Config) {
	cache := tls.NewLRUClientSessionCache(8)
	return func(c *tls.Config) {
		c.ClientSessionCache, c.MinVersion, c.MaxVersion = cache, version, version
	}
}

func bothVersions(t *testing.T, test func(t *testing.T, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) { test(t, version) })
	}
}

func (c *client) resumed() bool { return c.conn.(*tls.Conn).ConnectionState().DidResume }

// hangUp ends a client's connection, which has read what it was sent: in TLS 1.3
// its ticket comes with the first answer.
func (c *client) hangUp() { c.conn.Close() }

// T8: a resumed session says the same of its client as a full handshake.
func TestAResumedSessionTellsTheSameIdentity(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		r := start(t, with(fleetConfig, "[aws]", "[aws, nginx, rfc9440, xfcc, traefik, {set: X-Client-Info, value: \"{subject} {serial} {fingerprint}\"}]"))
		device, again := r.root.Intermediate("Issuing CA").Client("MacID-1", testpki.DNS("one.example.com")), resuming(version)
		first := r.dial(device, again)
		full := first.get().served(t)
		first.hangUp()
		second := r.dial(device, again)
		short := second.get().served(t)
		if first.resumed() || !second.resumed() {
			t.Fatalf("first connection resumed: %t, second: %t", first.resumed(), second.resumed())
		}
		names := slices.Collect(maps.Keys(full))
		names = append(names, slices.Collect(maps.Keys(short))...)
		if len(full) < 12 {
			t.Errorf("the backend got %d fields, is something missing? %v", len(full), full)
		}
		for _, name := range names {
			if a, b := fmt.Sprint(full[name]), fmt.Sprint(short[name]); a != b && !strings.EqualFold(name, "X-Amzn-Trace-Id") {
				t.Errorf("%s: %s after a full handshake, %s on a resumed one", name, a, b)
			}
		}
		r.stop()
		if lines, _ := r.journal.of(event{"event": "connection", "resumed": true, "subject": "CN=MacID-1"}); len(lines) != 1 {
			t.Errorf("%d lines tell of a resumed session of the device, want one", len(lines))
		}
	})
}

// T3, T6: the ticket was made under other rules; the client is held to those of
// now. Whether by a full handshake or by another look is the server's business.
func TestASessionIsNotResumedPastWhatChanged(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(r *rig, device *testpki.Certificate)
		code   string
	}{
		{"revoked", func(r *rig, device *testpki.Certificate) {
			r.revoke(1, device)
			r.publish(withLists)
		}, "ClientCertCrlHit"},
		{"authority removed", func(r *rig, _ *testpki.Certificate) {
			r.file("ca.crt", testpki.NewRoot(r.t, "Another Root").PEM())
			r.publish(fleetConfig)
		}, "ClientCertUntrusted"},
		{"filter added", func(r *rig, _ *testpki.Certificate) {
			r.publish(with(fleetConfig, "ca_bundle: [ca.crt]", "ca_bundle: [ca.crt]\n    accept: [{subject_cn: \"PC-*\"}]"))
		}, "ClientCertRejected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				r := start(t, fleetConfig)
				device, again := r.root.Client("MacID-1"), resuming(version)
				first := r.dial(device, again)
				first.get().served(t)
				first.hangUp()
				tc.change(r, device)
				if c, err := r.try(device, again); err == nil {
					c.send()
					if _, err := c.in.ReadByte(); err == nil {
						t.Error("the client is answered")
					}
					c.hangUp()
				}
				r.journal.wait(t, event{"event": "connection", "denial_code": tc.code})
			})
		})
	}
}

// A live connection that was resumed rests on what its client once showed.
func TestARevocationReachesALiveResumedConnection(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		r := start(t, fleetConfig)
		device, again := r.root.Client("MacID-1"), resuming(version)
		first := r.dial(device, again)
		first.get().served(t)
		first.hangUp()
		c := r.dial(device, again)
		c.get().served(t)
		if !c.resumed() {
			t.Fatal("the session was not resumed")
		}
		r.revoke(1, device)
		r.publish(withLists)
		r.expelled(c, "ClientCertCrlHit")
	})
}

// T7: a ticket of an open name gives no identity under a protected one (CVE-2025-23419,
// CVE-2025-23048).
func TestATicketOfAnotherPolicyIsWorthNothing(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		r := start(t, namesConfig)
		cache := oneSession{tls.NewLRUClientSessionCache(1)}
		again := func(c *tls.Config) { c.ClientSessionCache, c.MinVersion, c.MaxVersion = cache, version, version }
		device := r.root.Client("MacID-1")
		first := r.dial(device, again, named("x.ops.example.com"))
		if h := first.get().served(t); h.Get("X-Amzn-Mtls-Clientcert-Subject") != "CN=MacID-1" {
			t.Fatalf("the backend got %v", h)
		}
		first.hangUp()
		// The same ticket, without the certificate, for the name that needs one.
		c, err := r.try(nil, again, named("ops.example.com"))
		if err == nil {
			c.send()
			if _, err := c.in.ReadByte(); err == nil {
				t.Error("a client without a certificate is answered")
			}
			c.hangUp()
		}
		r.journal.wait(t, event{"event": "connection", "server_name": "ops.example.com", "denial_code": "ClientCertMissing"})
		// And for the open name, where nobody must become somebody.
		open := r.dial(nil, again, named("open.example.com"))
		if h := open.get().served(t); h.Get("X-Amzn-Mtls-Clientcert-Subject") != "" {
			t.Errorf("under the open name the backend got %v", h)
		}
	})
}

// oneSession is a client's cache that offers its last session to every name.
type oneSession struct{ tls.ClientSessionCache }

func (s oneSession) Get(string) (*tls.ClientSessionState, bool) { return s.ClientSessionCache.Get("") }
func (s oneSession) Put(_ string, last *tls.ClientSessionState) { s.ClientSessionCache.Put("", last) }
