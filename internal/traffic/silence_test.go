package traffic_test

import (
	"runtime"
	"testing"
	"time"
)

// parked waits until that many connections rest.
func (r *rig) parked(want int) {
	r.t.Helper()
	for end := time.Now().Add(patience); r.node.Parked() != want; {
		if time.Now().After(end) {
			r.t.Fatalf("%d connections are parked, want %d", r.node.Parked(), want)
		}
		time.Sleep(time.Millisecond)
	}
}

// A device fleet is mostly idle: a silent connection costs no goroutine.
func TestSilentConnectionsHoldNoGoroutine(t *testing.T) {
	r := start(t, fleetConfig)
	device := r.root.Client("MacID-1")
	r.dial(device).get().served(t) // the connection to the backend is there from here on
	r.parked(1)
	before := runtime.NumGoroutine()
	const many = 100
	var all []*client
	for range many {
		c := r.dial(device)
		c.get().served(t)
		all = append(all, c)
	}
	r.parked(many + 1)
	// The backend of this test has goroutines of its own, a few a connection;
	// one after the other, these requests needed one connection to it.
	if more := runtime.NumGoroutine() - before; more > many/4 {
		t.Errorf("%d goroutines more for %d silent connections", more, many)
	}
	for _, c := range all { // and each is served when it speaks again
		c.get().served(t)
	}
}

func TestAConnectionIsParkedAndServedAgainAndAgain(t *testing.T) {
	for name, config := range map[string]string{"https": fleetConfig, "http": httpConfig} {
		t.Run(name, func(t *testing.T) {
			r := start(t, config)
			var c *client
			if name == "http" {
				c = r.plain("127.0.0.1:0")
			} else {
				c = r.dial(r.root.Client("MacID-1"))
			}
			r.parked(1) // before the first request, too
			for range 3 {
				c.get().served(t)
				r.parked(1)
			}
		})
	}
}

func TestAParkedConnectionEndsWhenItWasIdleForTooLong(t *testing.T) {
	r := start(t, with(fleetConfig, "identity_headers: [aws]", "identity_headers: [aws]\n    timeouts: {idle: 300ms}"))
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)
	r.parked(1)
	c.ended()
	r.parked(0)
}

func TestAParkedConnectionEndsWithTheClient(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial(r.root.Client("MacID-1"))
	r.parked(1)
	c.conn.Close()
	r.parked(0)
}

func TestAParkedConnectionEndsWithItsListener(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)
	r.parked(1)
	r.publish(with(fleetConfig, "name: devices", "name: others"))
	c.ended()
}

func TestADrainEndsParkedConnectionsAtOnce(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)
	r.parked(1)
	cut := r.drain(t.Context())
	c.ended()
	r.drained(cut, 0)
}

// Rest does not make anything forgotten: a device that is revoked while it is
// silent is refused when it speaks.
func TestAParkedClientIsRevoked(t *testing.T) {
	r := start(t, fleetConfig)
	device := r.root.Client("MacID-1")
	c := r.dial(device)
	c.get().served(t)
	r.parked(1)
	r.revoke(1, device)
	r.publish(withLists)
	r.expelled(c, "ClientCertCrlHit")
}
