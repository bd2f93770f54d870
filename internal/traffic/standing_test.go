package traffic_test

import (
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

// What a newer configuration, or the calendar, makes of a connection that was
// admitted before: the client is held against the rules of now, on the next
// request it makes.

func TestARevocationReachesALiveConnection(t *testing.T) {
	r := start(t, fleetConfig)
	device, other := r.root.Client("MacID-1"), r.root.Client("MacID-2")
	revoked, kept := r.dial(device), r.dial(other)
	revoked.get().served(t)
	kept.get().served(t)

	r.revoke(1, device)
	r.publish(withLists)

	revoked.get().refused(t, 403, "ClientCertCrlHit")
	revoked.ended()
	for range 3 {
		kept.get().served(t)
	}
}

func TestARevocationListThatIsReplacedReachesALiveConnection(t *testing.T) {
	r := start(t, fleetConfig)
	device := r.root.Client("MacID-1")
	r.revoke(1)
	r.publish(withLists)
	c := r.dial(device)
	c.get().served(t)

	r.revoke(2, device)
	r.publish(withLists)

	c.get().refused(t, 403, "ClientCertCrlHit")
	c.ended()
}

func TestAnAuthorityThatIsNoLongerTrustedReachesALiveConnection(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)

	r.file("ca.crt", testpki.NewRoot(t, "Another Root").PEM())
	r.publish(fleetConfig)

	c.get().refused(t, 403, "ClientCertUntrusted")
	c.ended()
}

func TestAFilterThatIsAddedReachesALiveConnection(t *testing.T) {
	r := start(t, fleetConfig)
	in, out := r.dial(r.root.Client("MacID-1")), r.dial(r.root.Client("printer"))
	in.get().served(t)
	out.get().served(t)

	r.publish(with(fleetConfig, "ca_bundle: [ca.crt]", "ca_bundle: [ca.crt]\n    accept: [{subject_cn: \"MacID-*\"}]"))

	out.get().refused(t, 403, "ClientCertRejected")
	out.ended()
	in.get().served(t)
}

func TestAModeThatDemandsACertificateReachesALiveAnonymousConnection(t *testing.T) {
	for _, before := range []string{"{mode: off}", "{mode: optional, trust_store: fleet}"} {
		t.Run(before, func(t *testing.T) {
			r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", before))
			c := r.dial(nil)
			c.get().served(t)

			r.publish(fleetConfig)

			c.get().refused(t, 403, "ClientCertMissing")
			c.ended()
		})
	}
}

// What was passed on unverified is verified once the mode says so.
func TestAModeThatVerifiesReachesALiveUnverifiedConnection(t *testing.T) {
	passthrough := with(fleetConfig, "{mode: verify, trust_store: fleet}", "{mode: passthrough}")
	r := start(t, passthrough)
	stranger, device := r.dial(testpki.NewRoot(t, "Another Root").Client("MacID-1")), r.dial(r.root.Client("MacID-2"))
	stranger.get().served(t)
	if h := device.get().served(t); h.Get("X-Amzn-Mtls-Clientcert") == "" || h.Get("X-Amzn-Mtls-Clientcert-Subject") != "" {
		t.Errorf("passthrough tells the backend %v, want the certificate alone", h)
	}

	r.publish(fleetConfig)

	stranger.get().refused(t, 403, "ClientCertUntrusted")
	stranger.ended()
	if h := device.get().served(t); h.Get("X-Amzn-Mtls-Clientcert") != "" || h.Get("X-Amzn-Mtls-Clientcert-Subject") != "CN=MacID-2" {
		t.Errorf("verify tells the backend %v, want the subject of a verified client", h)
	}
}

// refusedBy makes requests until one is refused, which must be with that code and
// in the second after the instant from which it has to be.
func refusedBy(t *testing.T, c *client, instant time.Time, code string) {
	t.Helper()
	for time.Now().Before(instant.Add(time.Second)) {
		early := time.Now().Before(instant)
		p := c.get()
		if p.StatusCode == 200 {
			time.Sleep(20 * time.Millisecond) // for the calendar there is no event
			continue
		}
		if early && time.Now().Before(instant) {
			t.Fatalf("%d %s before the time", p.StatusCode, p.body)
		}
		p.refused(t, 403, code)
		c.ended()
		return
	}
	t.Errorf("the client is served after the time from which it should get %s", code)
}

// soon is the next instant that a certificate can name and that leaves time to
// make a connection.
func soon() time.Time { return time.Now().Add(2 * time.Second).Truncate(time.Second) }

func TestACertificateThatExpiresEndsALiveConnection(t *testing.T) {
	t.Parallel()
	r := start(t, fleetConfig)
	ends := soon()
	c := r.dial(r.root.Client("MacID-1", testpki.Valid(ends.Add(-time.Hour), ends)))
	c.get().served(t)
	refusedBy(t, c, ends, "ClientCertExpired")
}

func TestAnAuthorityThatExpiresEndsALiveConnection(t *testing.T) {
	t.Parallel()
	r := start(t, fleetConfig)
	ends := soon()
	short := r.root.Intermediate("Short", testpki.Valid(ends.Add(-time.Hour), ends))
	c := r.dial(short.Client("MacID-1"))
	c.get().served(t)
	refusedBy(t, c, ends, "ClientCertExpired")
}

func TestARevocationListThatGoesStaleEndsALiveConnection(t *testing.T) {
	t.Parallel()
	r := start(t, fleetConfig)
	stale := soon()
	r.file("crl.pem", testpki.CRLPEM(r.root.CRL(testpki.CRLValid(stale.Add(-time.Hour), stale))))
	r.publish(withLists)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)
	refusedBy(t, c, stale, "ClientCertCrlProcessingError")
}

func TestAListenerThatIsRemovedEndsItsConnections(t *testing.T) {
	two := with(fleetConfig, "trust_stores:", `  - name: plain
    address: "127.0.0.2:0"
    protocol: http
    default: {forward: app}
trust_stores:`)
	r := start(t, two)
	idle, other := r.plain("127.0.0.2:0"), r.dial(r.root.Client("MacID-1"))
	idle.get().served(t)
	other.get().served(t)

	r.publish(fleetConfig)

	idle.ended()
	other.get().served(t)
	if a := r.node.Addresses()["127.0.0.2:0"]; a != nil {
		t.Errorf("%v is still open", a)
	}
}

func TestAListenerThatIsRenamedEndsItsConnections(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)
	address := r.address("127.0.0.1:0")

	r.publish(with(fleetConfig, "name: devices", "name: machines"))

	c.ended()
	if again := r.address("127.0.0.1:0"); again != address {
		t.Errorf("the socket moved from %s to %s: connections in its queue are lost", address, again)
	}
	r.dial(r.root.Client("MacID-1")).get().served(t)
}

func TestAConnectionFollowsToAnotherTargetGroup(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)
	r.backend = echo(t)
	r.publish(fleetConfig)
	c.get().served(t)
	r.stop()
	lines, _ := r.journal.of(event{"event": "access", "target": r.backend})
	if len(lines) != 1 {
		t.Errorf("%d requests went to the new target, want the second of two", len(lines))
	}
}
