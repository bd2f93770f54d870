package traffic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	nethttp "net/http"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic"
)

// The same client, the same identity, over one connection.
func TestAVerifiedClientIsServedOverHTTP2(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial2(r.root.Client("MacID-1"))
	for range 3 {
		h := c.get("x-amzn-mtls-clientcert-subject", "CN=forged").served(t)
		if got := h["X-Amzn-Mtls-Clientcert-Subject"]; len(got) != 1 || got[0] != "CN=MacID-1" {
			t.Errorf("the backend got %v", h)
		}
	}
}

// Both are offered, in this order, unless the configuration says otherwise.
func TestWhichVersionsAreOffered(t *testing.T) {
	for _, tt := range []struct{ alpn, client, want string }{
		{"", "h2,http/1.1", "h2"},
		{"", "http/1.1,h2", "h2"},
		{"", "http/1.1", "http/1.1"},
		{"", "", ""},
		{"tls: {alpn: [http/1.1]}", "h2,http/1.1", "http/1.1"},
		{"tls: {alpn: [h2]}", "h2", "h2"},
	} {
		r := start(t, with(fleetConfig, "identity_headers: [aws]", "identity_headers: [aws]\n    "+tt.alpn))
		c := r.dial(r.root.Client("MacID-1"), func(cfg *tls.Config) {
			if tt.client != "" {
				cfg.NextProtos = strings.Split(tt.client, ",")
			}
		})
		if got := c.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != tt.want {
			t.Errorf("%s: of %s was chosen %q, want %q", tt.alpn, tt.client, got, tt.want)
		}
	}
}

// A client that is revoked is refused with its next request, on a live
// connection, and told to go; what was under way comes to its end.
func TestARevokedClientLosesItsConnectionOverHTTP2(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	device := r.root.Client("MacID-1")
	c := r.dial2(device)
	first := c.send()
	<-slow.asked
	r.revoke(1, device)
	r.publish(withLists)
	c.get().refused(t, 403, "ClientCertCrlHit")
	c.goesAway()
	close(slow.let)
	if p := c.reply(first); p.status != 200 || !p.ended {
		t.Errorf("the request that was under way: %+v", p)
	}
	c.ended()
	line := r.journal.wait(t, event{"event": "access", "denial_code": "ClientCertCrlHit"})
	if !line.has(event{"denial_stage": "verify", "elb_status_code": 403, "subject": "CN=MacID-1"}) {
		t.Errorf("the line says %v", line)
	}
}

// A client that is to be told why it is refused is told on every stream.
func TestARefusedClientIsToldWhyOverHTTP2(t *testing.T) {
	r := start(t, with(fleetConfig, "{mode: verify, trust_store: fleet}", respond))
	c := r.dial2(r.root.Client("MacID-1", testpki.Expired()))
	for range 3 {
		c.get().refused(t, 403, "ClientCertExpired")
	}
	p := c.get("content-type", "application/grpc")
	if p.status != 200 || p.header.Get("Grpc-Status") != "7" || !strings.Contains(p.header.Get("Grpc-Message"), "ClientCertExpired") || !p.ended {
		t.Errorf("a call of gRPC was answered with %+v", p)
	}
}

// RFC 9113 section 9.1.2: a client of HTTP/2 uses a connection for all names that
// the certificate has. What belongs to another policy is misdirected.
func TestAHostUnderAnotherPolicyIsMisdirectedOverHTTP2(t *testing.T) {
	r := start(t, namesConfig)
	c := r.dial2(nil, named("open.example.com"))
	c.host = "open.example.com"
	c.get().served(t)
	for _, host := range []string{"ops.example.com", "OPS.Example.com", "ops.example.com.", "ops.example.com:443", "x.ops.example.com", "admin.example.com.:8443"} {
		c.host = host
		c.get().refused(t, 421, "MisdirectedRequest")
	}
	c.host = "open.example.com"
	c.get().served(t)
	r.stop()
	for _, line := range r.journal.lines {
		if line["elb_status_code"] == 421.0 && line["target"] != nil {
			t.Errorf("a misdirected request was offered to a target: %v", line)
		}
	}
	if lines, _ := r.journal.of(event{"event": "access", "elb_status_code": 421}); len(lines) != 6 {
		t.Errorf("%d misdirected requests have a line, want 6", len(lines))
	}
}

// A new configuration holds from the next request on, on the same connection;
// what is under way is not touched.
func TestAReloadWithStreamsUnderWay(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	c := r.dial2(r.root.Client("MacID-1"))
	first := c.send()
	<-slow.asked
	r.backend = echo(t)
	r.publish(with(fleetConfig, "[aws]", "[nginx]"))
	if h := c.get().served(t); h.Get("X-Amzn-Mtls-Clientcert-Subject") != "" {
		t.Errorf("the backend got %v", h)
	}
	close(slow.let)
	c.reply(first).served(t)
	c.get().served(t)
}

// A listener that is gone lets its streams finish.
func TestAConnectionOverHTTP2EndsWithItsListener(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	c := r.dial2(r.root.Client("MacID-1"))
	first := c.send()
	<-slow.asked
	r.publish(with(fleetConfig, "name: devices", "name: others"))
	c.goesAway()
	close(slow.let)
	c.reply(first).served(t)
	c.ended()
}

func TestADrainLetsStreamsFinish(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	device := r.root.Client("MacID-1")
	busy, idle := r.dial2(device), r.dial2(device)
	one, other := busy.send(), busy.send()
	<-slow.asked
	<-slow.asked
	r.parked(1)
	cut := r.drain(t.Context())
	idle.goesAway()
	idle.ended()
	busy.goesAway()
	close(slow.let)
	busy.reply(one).served(t)
	busy.reply(other).served(t)
	busy.ended()
	r.drained(cut, 0)
}

func TestADrainThatTakesTooLongCutsStreams(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	c := r.dial2(r.root.Client("MacID-1"))
	for range 3 {
		c.send()
		<-slow.asked
	}
	over, cancel := context.WithCancel(t.Context())
	cut := r.drain(over)
	c.goesAway()
	cancel()
	r.drained(cut, 1)
	c.ended()
	for id, p := range c.got {
		if p.ended {
			t.Errorf("stream %d looks whole: %+v", id, p)
		}
	}
	r.stop()
	if lines, _ := r.journal.of(event{"event": "access", "denial_code": "ShuttingDown"}); len(lines) != 3 {
		t.Errorf("%d lines, want one for each request that was cut: %v", len(lines), lines)
	}
}

// A connection on which nothing is under way rests as one of HTTP/1.1 does, and
// what both sides have agreed upon is there when it speaks again.
func TestAConnectionOverHTTP2IsParkedAndServedAgain(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial2(r.root.Client("MacID-1"))
	r.parked(1) // before the first request, too
	for range 3 {
		c.get("x-long", strings.Repeat("v", 100)).served(t)
		r.parked(1)
	}
	if err := c.frames.WritePing(false, [8]byte{1}); err != nil {
		t.Fatal(err)
	}
	c.get().served(t)
	r.parked(1)
	c.conn.Close()
	r.parked(0)
}

// While a request is under way it is not.
func TestAConnectionWithAStreamIsNotParked(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	device := r.root.Client("MacID-1")
	c := r.dial2(device)
	id := c.send()
	<-slow.asked
	r.dial2(device)
	r.parked(1) // the other one, which fell silent later
	slow.let <- struct{}{}
	c.reply(id).served(t)
	r.parked(2)
}

func TestAnIdleConnectionOverHTTP2IsToldToGo(t *testing.T) {
	r := start(t, with(fleetConfig, "identity_headers: [aws]", "identity_headers: [aws]\n    timeouts: {idle: 300ms}"))
	c := r.dial2(r.root.Client("MacID-1"))
	c.get().served(t)
	r.parked(1)
	c.goesAway()
	c.ended()
	r.parked(0)
	r.stop()
	if n := r.node.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// A connection that is old enough ends behind an answer.
func TestAnOldConnectionOverHTTP2IsToldToGo(t *testing.T) {
	r := start(t, with(fleetConfig, "identity_headers: [aws]", "identity_headers: [aws]\n    timeouts: {keep_alive: 1ms}"))
	c := r.dial2(r.root.Client("MacID-1"))
	r.parked(1) // 20ms later
	c.get().served(t)
	c.goesAway()
	c.ended()
}

// The line of a request says that it was HTTP/2, what it took on the wire, and
// what is odd about it.
func TestTheLineOfARequestOverHTTP2(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial2(r.root.Client("MacID-1"))
	p := c.get("content-length", "0", "user-agent", "test")
	p.served(t)
	line := r.journal.wait(t, event{"event": "access"})
	if !line.has(event{"protocol": "HTTP/2.0", "method": "GET", "elb_status_code": 200, "target_status_code": 200, "subject": "CN=MacID-1",
		"classification": "Acceptable", "classification_reason": "GetHeadZeroContentLength", "user_agent": "test"}) {
		t.Errorf("the line says %v", line)
	}
	received, _ := line["received_bytes"].(float64)
	sent, _ := line["sent_bytes"].(float64)
	if received < 9+10 || received > 200 || int(sent) < len(p.body)+2*9 || int(sent) > len(p.body)+400 {
		t.Errorf("received %v, sent %v, of a body of %d", received, sent, len(p.body))
	}
	if line := r.journal.wait(t, event{"event": "connection"}); !line.has(event{"alpn": "h2"}) {
		t.Errorf("the line of the connection says %v", line)
	}
}

// What is no request has a line, and its connection goes on.
func TestAMalformedRequestOverHTTP2HasALine(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.dial2(r.root.Client("MacID-1"))
	if p := c.get("connection", "close"); !p.reset || p.code != h2.ErrCodeProtocol || p.status != 0 {
		t.Errorf("got %+v", p)
	}
	line := r.journal.wait(t, event{"event": "access", "elb_status_code": 400})
	if !line.has(event{"denial_code": "BadRequest", "denial_stage": "parse", "protocol": "HTTP/2.0", "method": "GET"}) || line["target"] != nil {
		t.Errorf("the line says %v", line)
	}
	c.get("host", "evil").refused(t, 400, "BadRequest")
	c.get().served(t)
}

// A client that takes its request back has a line that says so.
func TestARequestThatIsTakenBackHasALine(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	c := r.dial2(r.root.Client("MacID-1"))
	id := c.send()
	<-slow.asked
	if err := c.frames.WriteRSTStream(id, h2.ErrCodeCancel); err != nil {
		t.Fatal(err)
	}
	r.journal.wait(t, event{"event": "access", "denial_code": "ClientClosed", "elb_status_code": 460})
}

// An HTTP/1.1 and an HTTP/2 target take turns of the configuration only: a group
// speaks one. Its targets hear the client's identity all the same.
func TestATargetThatSpeaksHTTP2(t *testing.T) {
	var protocols nethttp.Protocols
	protocols.SetUnencryptedHTTP2(true)
	backend := serveWith(t, &protocols, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		if q.ProtoMajor != 2 {
			t.Errorf("the target was spoken to in %s", q.Proto)
		}
		writeHeader(w, q)
	})
	r := startBefore(t, backend, with(fleetConfig, `targets: ["BACKEND"]`, `protocol: h2, targets: ["BACKEND"]`))
	device := r.root.Client("MacID-1")
	for _, h := range []nethttp.Header{r.dial2(device).get().served(t), r.dial(device).get().served(t)} {
		if h.Get("X-Amzn-Mtls-Clientcert-Subject") != "CN=MacID-1" {
			t.Errorf("the target got %v", h)
		}
	}
}

// A fault that one request finds ends its connection, with the others on it, and
// nothing else.
func TestAFaultThatAStreamFindsEndsItsConnectionAlone(t *testing.T) {
	var log bytes.Buffer
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	good := r.node.Current().Listeners[0]
	node := traffic.New(traffic.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	sockets, err := node.Open(t.Context(), []string{good.Address})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Publish(r.node.Current(), sockets); err != nil {
		t.Fatal(err)
	}
	before := r.node
	r.node = node // r's clients find their way by it
	defer func() { r.node = before }()

	c := r.dial2(r.root.Client("MacID-1"))
	c.send()
	<-slow.asked
	faulty, snap := *good, *r.node.Current()
	faulty.Routes = nil
	snap.Listeners = []*snapshot.Listener{&faulty}
	if err := node.Publish(&snap, traffic.Sockets{}); err != nil {
		t.Fatal(err)
	}
	c.send()
	c.ended()
	close(slow.let)
	node.Drain(t.Context())
	if n := node.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	for _, want := range []string{"please report it", "nil pointer", "(*Table).Match"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}
