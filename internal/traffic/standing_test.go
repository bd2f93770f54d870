package traffic_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

// What a newer configuration, or the calendar, makes of a connection that was
// admitted before: who would not be admitted now loses it, without having to say
// anything first.

func TestARevocationReachesALiveConnection(t *testing.T) {
	r := start(t, fleetConfig)
	device, other := r.root.Client("MacID-1"), r.root.Client("MacID-2")
	revoked, kept := r.dial(device), r.dial(other)
	revoked.get().served(t)
	kept.get().served(t)

	r.revoke(1, device)
	r.publish(withLists)

	r.expelled(revoked, "ClientCertCrlHit")
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

	r.expelled(c, "ClientCertCrlHit")
}

func TestAnAuthorityThatIsNoLongerTrustedReachesALiveConnection(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)

	r.file("ca.crt", testpki.NewRoot(t, "Another Root").PEM())
	r.publish(fleetConfig)

	r.expelled(c, "ClientCertUntrusted")
}

func TestAFilterThatIsAddedReachesALiveConnection(t *testing.T) {
	r := start(t, fleetConfig)
	in, out := r.dial(r.root.Client("MacID-1")), r.dial(r.root.Client("printer"))
	in.get().served(t)
	out.get().served(t)

	r.publish(with(fleetConfig, "ca_bundle: [ca.crt]", "ca_bundle: [ca.crt]\n    accept: [{subject_cn: \"MacID-*\"}]"))

	r.expelled(out, "ClientCertRejected")
	in.get().served(t)
}

func TestAModeThatDemandsACertificateReachesALiveAnonymousConnection(t *testing.T) {
	for _, before := range []string{"{mode: off}", "{mode: optional, trust_store: fleet}"} {
		t.Run(before, func(t *testing.T) {
			r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", before))
			c := r.dial(nil)
			c.get().served(t)

			r.publish(fleetConfig)

			r.expelled(c, "ClientCertMissing")
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

	r.expelled(stranger, "ClientCertUntrusted")
	if h := device.get().served(t); h.Get("X-Amzn-Mtls-Clientcert") != "" || h.Get("X-Amzn-Mtls-Clientcert-Subject") != "CN=MacID-2" {
		t.Errorf("verify tells the backend %v, want the subject of a verified client", h)
	}
}

// expelled waits for the end of a connection, of which the log says why.
func (r *rig) expelled(c *client, code string) {
	r.t.Helper()
	c.ended()
	_, port, err := net.SplitHostPort(c.conn.LocalAddr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.journal.wait(r.t, event{"event": "expulsion", "client_port": port, "denial_code": code})
}

// expelledAt is expelled for a connection that must last to that instant.
func (r *rig) expelledAt(c *client, instant time.Time, code string) {
	r.t.Helper()
	c.conn.SetReadDeadline(instant)
	// The end may come in the very instant, and be seen before the deadline is.
	if _, err := c.in.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(instant) {
		r.t.Fatalf("before the time: %v", err)
	}
	c.conn.SetReadDeadline(time.Now().Add(patience))
	r.expelled(c, code)
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
	r.expelledAt(c, ends, "ClientCertExpired")
}

func TestAnAuthorityThatExpiresEndsALiveConnection(t *testing.T) {
	t.Parallel()
	r := start(t, fleetConfig)
	ends := soon()
	short := r.root.Intermediate("Short", testpki.Valid(ends.Add(-time.Hour), ends))
	c := r.dial(short.Client("MacID-1"))
	c.get().served(t)
	r.expelledAt(c, ends, "ClientCertExpired")
}

func TestARevocationListThatGoesStaleEndsALiveConnection(t *testing.T) {
	t.Parallel()
	r := start(t, fleetConfig)
	stale := soon()
	r.file("crl.pem", testpki.CRLPEM(r.root.CRL(testpki.CRLValid(stale.Add(-time.Hour), stale))))
	r.publish(withLists)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)
	r.expelledAt(c, stale, "ClientCertCrlProcessingError")
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
