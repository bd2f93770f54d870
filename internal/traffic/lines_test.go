package traffic_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"countersign.dev/internal/testpki"
)

// Every connection has one line and every request has one, whatever became of it.
func TestEveryConnectionAndEveryRequestHasOneLine(t *testing.T) {
	r := start(t, fleetConfig)
	device := r.root.Client("MacID-1")
	for range 3 {
		c := r.dial(device)
		for range 4 {
			c.get().served(t)
		}
	}
	tls12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	for range 2 {
		r.try(nil, tls12)
		r.try(testpki.NewRoot(t, "Another Root").Client("MacID-1"), tls12)
	}
	garbage := r.plain("127.0.0.1:0")
	garbage.conn.Write([]byte("\x00\x01\x02\x03\x04\x05\x06\x07"))
	garbage.ended()
	bad := r.dial(device)
	bad.conn.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"))
	bad.reply()
	bad.ended()
	r.stop()

	count := func(want event) int { found, _ := r.journal.of(want); return len(found) }
	for _, tc := range []struct {
		want event
		n    int
	}{
		{event{"event": "connection"}, 9},
		{event{"event": "connection", "tls_verify_status": "Success", "subject": "CN=MacID-1", "trust_store": "fleet"}, 4},
		{event{"event": "connection", "denial_code": "ClientCertMissing"}, 2},
		{event{"event": "connection", "denial_code": "ClientCertUntrusted", "denial_stage": "verify", "subject": "CN=MacID-1"}, 2},
		{event{"event": "connection", "denial_code": "HandshakeFailed", "denial_stage": "handshake"}, 1},
		{event{"event": "access"}, 13},
		{event{"event": "access", "elb_status_code": 200, "target_status_code": 200, "target": r.backend, "target_group": "app", "method": "GET"}, 12},
		{event{"event": "access", "elb_status_code": 400, "denial_code": "BadRequest", "denial_stage": "parse"}, 1},
	} {
		if n := count(tc.want); n != tc.n {
			t.Errorf("%d lines have %v, want %d", n, tc.want, tc.n)
		}
	}
	all, _ := r.journal.of(nil)
	connections := map[string]bool{}
	for _, e := range all {
		if e["event"] == "connection" {
			id := fmt.Sprint(e["conn_trace_id"])
			if connections[id] {
				t.Errorf("two connections are %s", id)
			}
			connections[id] = true
		}
	}
	for _, e := range all {
		if e["event"] == "access" && !connections[fmt.Sprint(e["conn_trace_id"])] {
			t.Errorf("a request belongs to no connection: %v", e)
		}
		if e["broken"] != nil {
			t.Errorf("a line is no JSON: %v", e["broken"])
		}
	}
}

// A refused request says where, why and of whom, although the client was
// admitted once: its request was faster than what ends its connection.
func TestTheLineOfALateRefusalNamesItsClient(t *testing.T) {
	r := start(t, fleetConfig)
	device := r.root.Client("MacID-1")
	c := r.dial(device)
	c.get().served(t)
	release := r.node.HoldEnforcement()
	r.revoke(1, device)
	r.publish(withLists)
	c.get().refused(t, 403, "ClientCertCrlHit")
	release()
	r.expelled(c, "ClientCertCrlHit")
	line := r.journal.wait(t, event{"event": "access", "denial_code": "ClientCertCrlHit"})
	if !line.has(event{"denial_stage": "verify", "elb_status_code": 403, "subject": "CN=MacID-1", "actions_executed": "fixed-response"}) || line["target"] != nil {
		t.Errorf("the line says %v", line)
	}
}

// A request that the client gave up in its middle has a line, and no backend.
func TestAHeadThatIsNeverFinishedHasALine(t *testing.T) {
	r := start(t, httpConfig)
	c := r.plain("127.0.0.1:0")
	if _, err := c.conn.Write([]byte("GET /half HTTP/1.1\r\nHost: loc")); err != nil {
		t.Fatal(err)
	}
	c.conn.Close()
	line := r.journal.wait(t, event{"event": "access"})
	if !line.has(event{"denial_code": "ClientClosed", "denial_stage": "parse", "elb_status_code": 460}) {
		t.Errorf("the line says %v", line)
	}
	r.journal.wait(t, event{"event": "connection"})
}

// A log that is switched on while a connection is open has its next request.
func TestALogThatIsSwitchedOnHasTheNextRequest(t *testing.T) {
	off := with(fleetConfig, `logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}`, "logs: {}")
	r := start(t, off)
	c := r.dial(r.root.Client("MacID-1"))
	c.get().served(t)
	r.publish(fleetConfig)
	c.get().served(t)
	line := r.journal.wait(t, event{"event": "access"})
	if !line.has(event{"subject": "CN=MacID-1", "elb_status_code": 200}) {
		t.Errorf("the line says %v", line)
	}
	r.publish(off)
	c.get().served(t)
	r.stop()
	if lines, _ := r.journal.of(event{"event": "access"}); len(lines) != 1 {
		t.Errorf("%d lines, want one: the log was on for one request", len(lines))
	}
}

// An exchange that outlives its log has its line in the one that follows.
func TestTheLineOfAnExchangeUnderWayGoesToTheNewLog(t *testing.T) {
	slow := newGate(t)
	to := func(file string) string {
		return with(fleetConfig, `access: {path: "-", format: json}`, "access: {path: "+file+", format: json}")
	}
	r := startBefore(t, slow.address, to("old.log"))
	c := r.dial(r.root.Client("MacID-1"))
	c.send()
	<-slow.asked
	r.publish(to("new.log"))
	close(slow.let)
	c.reply().served(t)
	r.stop()
	line, err := os.ReadFile(filepath.Join(r.dir, "new.log"))
	if err != nil || bytes.Count(line, []byte("\n")) != 1 {
		t.Errorf("the new log has %q, %v; want one line", line, err)
	}
}
