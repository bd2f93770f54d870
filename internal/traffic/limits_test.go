package traffic_test

import (
	"net"
	"testing"
	"time"
)

// httpConfig is a listener without TLS.
const httpConfig = `
node: {admin: off}
logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}
listeners:
  - {name: plain, address: "127.0.0.1:0", protocol: http, default: {forward: app}}
target_groups:
  - {name: app, targets: ["BACKEND"]}
`

func TestOneConnectionTooManyIsClosedWithALine(t *testing.T) {
	r := start(t, with(httpConfig, "{admin: off}", "{admin: off, max_connections: 2}"))
	first, second := r.plain("127.0.0.1:0"), r.plain("127.0.0.1:0")
	first.get().served(t)
	second.get().served(t)

	third := r.plain("127.0.0.1:0")
	third.ended()
	line := r.journal.wait(t, event{"event": "connection", "denial_code": "ConnectionLimit"})
	if line["denial_stage"] != "accept" || line["listener"] != "plain" {
		t.Errorf("the line says %v", line)
	}
	first.get().served(t)
	second.get().served(t)
}

func TestAPlaceThatIsGivenBackIsTaken(t *testing.T) {
	r := start(t, with(httpConfig, "{admin: off}", "{admin: off, max_connections: 1}"))
	for range 5 {
		c := r.plain("127.0.0.1:0")
		c.get().served(t)
		if n := r.node.Connections(); n != 1 {
			t.Fatalf("the node counts %d connections, want one", n)
		}
		c.conn.(interface{ CloseWrite() error }).CloseWrite()
		c.ended() // the node closes last, and has given the place back
		r.empty()
	}
}

// empty waits until the node holds no connection.
func (r *rig) empty() {
	r.t.Helper()
	for end := time.Now().Add(patience); r.node.Connections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("the node still holds %d connections", r.node.Connections())
		}
	}
}

// A higher limit lets in at once, a lower one cuts nobody.
func TestTheLimitOnConnectionsFollowsTheConfiguration(t *testing.T) {
	one := with(httpConfig, "{admin: off}", "{admin: off, max_connections: 1}")
	r := start(t, httpConfig)
	first, second := r.plain("127.0.0.1:0"), r.plain("127.0.0.1:0")
	first.get().served(t)
	second.get().served(t)
	r.publish(one)
	first.get().served(t)
	second.get().served(t)
	r.plain("127.0.0.1:0").ended()
	r.publish(httpConfig)
	r.plain("127.0.0.1:0").get().served(t)
}

// A connection that has been used for long enough is told so, and ends.
func TestAnOldConnectionIsClosedAfterItsAnswer(t *testing.T) {
	r := start(t, with(httpConfig, "protocol: http,", "protocol: http, timeouts: {keep_alive: 1ms},"))
	c := r.plain("127.0.0.1:0")
	time.Sleep(2 * time.Millisecond) // it is age that counts
	p := c.get()
	p.served(t)
	if !p.Close { // it was accepted only just before it asked; when it asks again, it is old for sure
		time.Sleep(2 * time.Millisecond)
		p = c.get()
		p.served(t)
	}
	if !p.Close {
		t.Errorf("the answer lacks Connection: close: %v", p.Header)
	}
	c.ended()
}

func TestAConnectionThatIsIdleIsClosedWithoutAWord(t *testing.T) {
	r := start(t, with(httpConfig, "protocol: http,", "protocol: http, timeouts: {idle: 20ms},"))
	c := r.plain("127.0.0.1:0")
	c.get().served(t)
	c.ended()
	r.stop()
	if lines, _ := r.journal.of(event{"event": "access"}); len(lines) != 1 {
		t.Errorf("%d lines, want that of the one request: %v", len(lines), lines)
	}
}

func TestAHandshakeThatTakesTooLongIsClosedWithALine(t *testing.T) {
	r := start(t, with(fleetConfig, "protocol: https", "protocol: https\n    timeouts: {handshake: 20ms}"))
	c := r.plain("127.0.0.1:0")
	if _, err := c.conn.Write([]byte{22, 3, 1}); err != nil { // a record begins
		t.Fatal(err)
	}
	c.ended()
	line := r.journal.wait(t, event{"event": "connection"})
	if line["denial_code"] != "HandshakeTimeout" || line["denial_stage"] != "handshake" {
		t.Errorf("the line says %v", line)
	}
}

func TestPlainHTTPOnATLSPortIsToldSo(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.plain("127.0.0.1:0")
	p := c.get()
	if p.StatusCode != 400 {
		t.Errorf("got %d %s", p.StatusCode, p.body)
	}
	c.ended()
	c.conn.Close()
	r.stop()
	if lines, _ := r.journal.of(event{"event": "connection", "denial_code": "PlainHTTPOnTLS"}); len(lines) != 1 {
		t.Errorf("%d lines say so, want one", len(lines))
	}
}

// What closes without a word is the health check of a TCP balancer, HAProxy's by
// a reset: no line, and no failed handshake.
func TestASilentConnectionLeavesNoLine(t *testing.T) {
	for name, config := range map[string]string{"https": fleetConfig, "http": httpConfig} {
		t.Run(name, func(t *testing.T) {
			r := start(t, config)
			closed, reset := r.plain("127.0.0.1:0"), r.plain("127.0.0.1:0")
			reset.conn.(*net.TCPConn).SetLinger(0)
			closed.conn.Close()
			reset.conn.Close()
			// Connections are accepted in their order: once a later one is
			// served, those were seen.
			var last *client
			if name == "http" {
				last = r.plain("127.0.0.1:0")
			} else {
				last = r.dial(r.root.Client("MacID-1"))
			}
			last.get().served(t)
			last.conn.Close()
			r.empty()
			r.stop()
			if lines, _ := r.journal.of(event{"event": "connection"}); len(lines) != 1 {
				t.Errorf("%d lines, want that of the one client that said something: %v", len(lines), lines)
			}
			if requests, _ := r.journal.of(event{"event": "access"}); len(requests) != 1 {
				t.Errorf("%d requests are logged, want one: %v", len(requests), requests)
			}
		})
	}
}
