package traffic_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

// A certificate ends at an instant, and with it every connection that rests on
// it: whatever is spoken on it, and whether anything is.
func TestEveryKindOfConnectionEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	ends := soon()
	device := func(name string) *testpki.Certificate {
		return r.root.Client(name, testpki.Valid(ends.Add(-time.Hour), ends))
	}
	silent := r.dial(device("silent")) // never says anything
	waiting := r.dial(device("waiting"))
	waiting.send()
	<-slow.asked
	streams, over := r.over2(device("streams"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if status, err := fetch(t, streams); err == nil {
			t.Errorf("a stream that does not end was answered with %d", status)
		}
	}()
	<-slow.asked

	r.expelledAt(silent, ends, "ClientCertExpired")
	waiting.ended()
	within(t, "HTTP/2 goes on", over)
	<-done
	for _, name := range []string{"silent", "waiting", "streams"} {
		told := r.journal.wait(t, event{"event": "expulsion", "subject": "CN=" + name, "denial_code": "ClientCertExpired"})
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(told["time"]))
		if err != nil || at.Before(ends) {
			t.Errorf("%s: told at %v, %v; its time was over at %v", name, told["time"], err, ends)
		}
	}
}

// With ignore_expiry nobody's connection ends by that, and all else ends it still.
func TestACertificateWhoseEndIsIgnoredKeepsItsConnections(t *testing.T) {
	t.Parallel()
	ignoring := func(config string) string {
		return with(config, "trust_store: fleet}", "trust_store: fleet, ignore_expiry: true}")
	}
	r := start(t, ignoring(fleetConfig))
	ends := soon()
	device := r.root.Client("MacID-1", testpki.Valid(ends.Add(-time.Hour), ends))
	c := r.dial(device)
	c.get().served(t)
	streams, over := r.over2(device)
	if status, err := fetch(t, streams); status != 200 {
		t.Fatal(status, err)
	}

	c.conn.SetReadDeadline(ends.Add(100 * time.Millisecond)) // later than expulsion would come
	if _, err := c.in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection ends with %v", err)
	}
	c.conn.SetReadDeadline(time.Now().Add(patience))
	c.get().served(t)
	if status, err := fetch(t, streams); status != 200 {
		t.Errorf("over HTTP/2: %d, %v", status, err)
	}
	r.revoke(1, device)
	r.publish(ignoring(withLists))
	r.expelled(c, "ClientCertCrlHit")
	within(t, "HTTP/2 goes on", over)
}
