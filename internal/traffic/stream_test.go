package traffic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pires "github.com/pires/go-proxyproto"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/live"
	"countersign.dev/internal/traffic/socket"
)

// streamConfig is a listener that passes on what TLS carries.
const streamConfig = `
node: {admin: off}
logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}
listeners:
  - name: broker
    address: "127.0.0.1:0"
    protocol: tls
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores:
  - name: fleet
    ca_bundle: [ca.crt]
target_groups:
  - {name: app, protocol: tcp, targets: ["BACKEND"]}
`

// tcpConfig is one that passes on bytes as they are.
var tcpConfig = with(streamConfig, `protocol: tls
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}`, "protocol: tcp", `trust_stores:
  - name: fleet
    ca_bundle: [ca.crt]
`, "")

// A party is a target of bytes, whose connections the test has in hand.
type party struct {
	address string
	came    chan *net.TCPConn
	ln      net.Listener
}

func newParty(t testing.TB) *party {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &party{address: ln.Addr().String(), came: make(chan *net.TCPConn, 1024), ln: ln}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			p.came <- conn.(*net.TCPConn)
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return p
}

// next is the next connection.
func (p *party) next(t testing.TB) *end {
	t.Helper()
	select {
	case c := <-p.came:
		return newEnd(t, c)
	case <-time.After(patience):
		t.Fatal("no connection came to the target")
		return nil
	}
}

// An end is one end of a stream.
type end struct {
	t    testing.TB
	conn interface {
		net.Conn
		CloseWrite() error
	}
}

func newEnd(t testing.TB, conn net.Conn) *end {
	conn.SetDeadline(time.Now().Add(patience))
	return &end{t, conn.(interface {
		net.Conn
		CloseWrite() error
	})}
}

func (e *end) say(what string) {
	e.t.Helper()
	if _, err := io.WriteString(e.conn, what); err != nil {
		e.t.Fatalf("cannot say %.20q: %v", what, err)
	}
}

func (e *end) hear(what string) {
	e.t.Helper()
	got := make([]byte, len(what))
	if n, err := io.ReadFull(e.conn, got); err != nil || string(got) != what {
		e.t.Fatalf("heard %.40q, %v, want %.40q", got[:n], err, what)
	}
}

// through says that nothing more is said.
func (e *end) through() {
	e.t.Helper()
	if err := e.conn.CloseWrite(); err != nil {
		e.t.Fatal(err)
	}
}

// hearsEnd demands an end in order.
func (e *end) hearsEnd() {
	e.t.Helper()
	if n, err := e.conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		e.t.Fatalf("heard %d bytes, %v, want the end", n, err)
	}
}

// hearsReset demands an end that nobody takes for one in order.
func (e *end) hearsReset() {
	e.t.Helper()
	if n, err := e.conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		e.t.Fatalf("heard %d bytes, %v, want a reset", n, err)
	}
}

// streamed is a rig whose listener passes bytes on to a party. config is one of
// the two, changed perhaps.
func streamed(t testing.TB, config string) (*rig, *party) {
	t.Helper()
	p := newParty(t)
	return startBefore(t, p.address, config), p
}

// both connects a client and returns it with the target's end.
func (r *rig) both(p *party, device *testpki.Certificate) (client, target *end) {
	r.t.Helper()
	var conn net.Conn
	if r.node.Current().Listeners[0].TLS != nil {
		conn = r.dial(device).conn
	} else {
		conn = r.plain("127.0.0.1:0").conn
	}
	return newEnd(r.t, conn), p.next(r.t)
}

// eachProtocol runs a test at a listener with protocol tls, and at one with tcp.
func eachProtocol(t *testing.T, test func(t *testing.T, config string)) {
	t.Run("tls", func(t *testing.T) { test(t, streamConfig) })
	t.Run("tcp", func(t *testing.T) { test(t, tcpConfig) })
}

func TestBytesPassBothWaysAndEndsOneByOne(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, config)
		client, target := r.both(p, r.root.Client("MacID-1"))
		client.say("hello")
		target.hear("hello")
		target.say("welcome")
		client.hear("welcome")
		client.through()
		target.hearsEnd()
		target.say("one more thing")
		client.hear("one more thing")
		target.through()
		client.hearsEnd()
		r.journal.wait(t, event{"event": "stream", "end": "finished", "received_bytes": 5, "sent_bytes": 21})
	})
}

func TestTheTargetMayBeThroughFirst(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, config)
		client, target := r.both(p, r.root.Client("MacID-1"))
		target.say("banner")
		target.through()
		client.hear("banner")
		client.hearsEnd()
		client.say("still here")
		target.hear("still here")
		client.through()
		target.hearsEnd()
	})
}

func TestSilentDirectionsHoldNothingAndGoOn(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, config)
		client, target := r.both(p, r.root.Client("MacID-1"))
		for range 3 {
			r.parked(2)
			client.say("up")
			target.hear("up")
			r.parked(2)
			target.say("down")
			client.hear("down")
		}
		r.parked(2)
		client.through()
		target.hearsEnd()
		r.parked(1)
		target.through()
		client.hearsEnd()
		r.parked(0)
	})
}

func TestMuchPassesWholeAndWaitsForWhoReads(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, config)
		client, target := r.both(p, r.root.Client("MacID-1"))
		for _, way := range []struct{ from, to *end }{{client, target}, {target, client}} {
			much := make([]byte, 40<<20)
			random := rand.NewChaCha8([32]byte{1})
			random.Read(much)
			sent := make(chan error, 1)
			go func() {
				_, err := way.from.conn.Write(much)
				sent <- err
			}()
			select { // more than all the buffers in between hold
			case err := <-sent:
				t.Fatalf("everything was taken though nobody reads (%v)", err)
			case <-time.After(100 * time.Millisecond):
			}
			got := make([]byte, len(much))
			if _, err := io.ReadFull(way.to.conn, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, much) {
				t.Fatal("other bytes have come than went")
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		client.through()
		target.through()
		r.journal.wait(t, event{"event": "stream", "received_bytes": float64(40 << 20), "sent_bytes": float64(40 << 20)})
	})
}

func TestAnIdleStreamIsReset(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, with(config, "default:", "timeouts: {idle: 200ms}\n    default:"))
		client, target := r.both(p, r.root.Client("MacID-1"))
		client.hearsReset()
		target.hearsReset()
		r.journal.wait(t, event{"event": "stream", "end": "idle_timeout"})
	})
}

func TestAnIdleStreamMayEndInOrder(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, with(config, "default:", "timeouts: {idle: 200ms, reset_idle: false}\n    default:"))
		client, target := r.both(p, r.root.Client("MacID-1"))
		client.hearsEnd()
		target.hearsEnd()
	})
}

// One direction that is busy keeps the other, silent one from being idle.
func TestAStreamIsIdleOnlyAsAWhole(t *testing.T) {
	r, p := streamed(t, with(streamConfig, "default:", "timeouts: {idle: 2s}\n    default:"))
	client, target := r.both(p, r.root.Client("MacID-1"))
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		target.say("tick")
		client.hear("tick")
	}
	client.say("up")
	target.hear("up")
}

// What the kernel still has to send, and sends, is traffic too: a buffer may take a
// slow reader longer than the idle timeout, and misses nothing for it.
func TestWhoReadsSlowlyIsNotIdle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux alone says what a peer has taken")
	}
	r, p := streamed(t, with(tcpConfig, "default:", "timeouts: {idle: 1s}\n    default:"))
	client, target := r.both(p, nil)
	client.conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	random := func() io.Reader { return rand.NewChaCha8([32]byte{1}) }
	go io.Copy(target.conn, random()) // until the connection ends
	got, want, sent := make([]byte, 16<<10), make([]byte, 16<<10), random()
	for until := time.Now().Add(4 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if _, err := io.ReadFull(client.conn, got); err != nil {
			t.Fatalf("heard %v while bytes still passed", err)
		}
		io.ReadFull(sent, want)
		if !bytes.Equal(got, want) {
			t.Fatal("other bytes have come than went")
		}
	}
}

func TestABusyStreamEndsWithItsLifetime(t *testing.T) {
	r, p := streamed(t, with(streamConfig, "default:", "timeouts: {lifetime: 500ms}\n    default:"))
	client, target := r.both(p, r.root.Client("MacID-1"))
	go func() {
		for {
			if _, err := io.WriteString(target.conn, "tick"); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := io.Copy(io.Discard, client.conn); err != nil {
		t.Errorf("the end was not in order: %v", err)
	}
	r.journal.wait(t, event{"event": "stream", "end": "lifetime"})
}

func TestWhoBreaksOffEndsBothDirections(t *testing.T) {
	for _, who := range []string{"client", "target"} {
		t.Run(who, func(t *testing.T) {
			r, p := streamed(t, tcpConfig)
			client, target := r.both(p, nil)
			client.say("half a")
			target.hear("half a")
			broken, other := client, target
			if who == "target" {
				broken, other = target, client
			}
			broken.conn.(*net.TCPConn).SetLinger(0)
			broken.conn.Close()
			other.hearsReset()
			r.journal.wait(t, event{"event": "stream", "end": who + "_reset"})
		})
	}
}

func TestARevokedClientLosesItsStream(t *testing.T) {
	for _, state := range []string{"parked", "busy"} {
		t.Run(state, func(t *testing.T) {
			r, p := streamed(t, streamConfig)
			revoked, other := r.root.Client("MacID-1"), r.root.Client("MacID-2")
			lost, session := r.both(p, revoked)
			kept, goesOn := r.both(p, other)
			if state == "parked" {
				r.parked(4)
			} else {
				go io.Copy(session.conn, session.conn)
				go func() {
					for {
						if _, err := io.WriteString(lost.conn, "tick"); err != nil {
							return
						}
					}
				}()
				lost.hear("tick")
			}
			r.revoke(1, revoked)
			r.publish(with(streamConfig, "ca_bundle: [ca.crt]", "ca_bundle: [ca.crt]\n    revocation: {crls: [crl.pem]}"))
			r.journal.wait(t, event{"event": "expulsion", "denial_code": "ClientCertCrlHit", "subject": "CN=MacID-1"})
			r.journal.wait(t, event{"event": "stream", "end": "expelled", "denial_code": "ClientCertCrlHit", "subject": "CN=MacID-1"})
			if _, err := io.Copy(io.Discard, lost.conn); err != nil && state == "parked" {
				t.Errorf("the client: %v", err)
			}
			if state == "parked" {
				session.hearsEnd()
			}
			kept.say("still here")
			goesOn.hear("still here")
		})
	}
}

func TestWhoIsRefusedReachesNoTarget(t *testing.T) {
	r, p := streamed(t, streamConfig)
	c, err := r.try(nil, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	if err == nil {
		c.conn.Close()
		t.Fatal("a client without a certificate came through its handshake")
	}
	if !strings.Contains(err.Error(), "remote error") {
		t.Errorf("no alert came: %v", err)
	}
	r.journal.wait(t, event{"event": "connection", "denial_code": "ClientCertMissing"})
	select {
	case <-p.came:
		t.Error("the target was connected to")
	default:
	}
}

func TestPlainHTTPToATLSListenerIsExplained(t *testing.T) {
	r, _ := streamed(t, streamConfig)
	c := r.plain("127.0.0.1:0")
	io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if p := c.reply(); p.StatusCode != 400 {
		t.Errorf("answered %d, want 400", p.StatusCode)
	}
}

func TestAStreamGoesToATargetThatIsThere(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	r, p := streamed(t, with(streamConfig, `targets: ["BACKEND"]`, `targets: ["`+gone.Addr().String()+`", "BACKEND"]`))
	for range 2 {
		client, target := r.both(p, r.root.Client("MacID-1"))
		client.say("hello")
		target.hear("hello")
	}
}

// Whoever breaks off while all targets are busy waits no longer, and nobody waits
// behind it; who is only through with what it has to say goes on waiting.
func TestWhoBreaksOffWaitsForNoPlace(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux alone says that a peer is gone before something is written to it")
	}
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, with(config, `"BACKEND"]`, `"BACKEND"], max_connections: 1, queue: {length: 1, timeout: 1m}`))
		first, target := r.both(p, r.root.Client("MacID-1"))
		wait := func() *end {
			if config == tcpConfig {
				return newEnd(t, r.plain("127.0.0.1:0").conn)
			}
			return newEnd(t, r.dial(r.root.Client("MacID-2")).conn)
		}
		gone := wait()
		r.journal.wait(t, event{"event": "connection", "client_port": gone.conn.LocalAddr().(*net.TCPAddr).Port})
		socket.Of(gone.conn).SetLinger(0)
		socket.Of(gone.conn).Close()
		r.journal.wait(t, event{"event": "stream", "end": "refused", "denial_code": "ClientClosed"})
		listens := wait()
		listens.say("hello")
		listens.through()
		first.through()
		target.through()
		next := p.next(t)
		next.hear("hello")
		next.hearsEnd()
		next.say("welcome")
		next.through()
		listens.hear("welcome")
	})
}

func TestNoTargetIsABreakNotAnEnd(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	r := startBefore(t, gone.Addr().String(), streamConfig)
	newEnd(t, r.dial(r.root.Client("MacID-1")).conn).hearsReset()
	r.journal.wait(t, event{"event": "stream", "end": "refused", "denial_code": "TargetConnectFailed"})
}

func TestTargetsOfBytesAreToldOfTheClient(t *testing.T) {
	r, p := streamed(t, with(streamConfig, "protocol: tls\n", "protocol: tls\n    tls: {alpn: [mqtt]}\n",
		`"BACKEND"]`, `"BACKEND"], proxy_protocol: {tlvs: [ssl, authority, alpn]}`))
	c := r.dial(r.root.Client("MacID-1"), func(c *tls.Config) { c.NextProtos = []string{"mqtt"} })
	if got := c.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != "mqtt" {
		t.Errorf("ALPN chose %q, want mqtt", got)
	}
	client, target := newEnd(t, c.conn), p.next(t)
	told := pires.NewConn(target.conn)
	client.say("hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(told, got); err != nil || string(got) != "hello" {
		t.Fatalf("heard %q, %v", got, err)
	}
	h := told.ProxyHeader()
	if h == nil || h.SourceAddr.String() != c.conn.LocalAddr().String() {
		t.Fatalf("the header says %v, want source %v", h, c.conn.LocalAddr())
	}
	tlvs, err := h.TLVs()
	if err != nil {
		t.Fatal(err)
	}
	said := map[pires.PP2Type]string{}
	for _, tlv := range tlvs {
		said[tlv.Type] = string(tlv.Value)
	}
	if said[pires.PP2_TYPE_ALPN] != "mqtt" || said[pires.PP2_TYPE_AUTHORITY] != "localhost" || !strings.Contains(said[pires.PP2_TYPE_SSL], "MacID-1") {
		t.Errorf("the fields are %q", said)
	}
}

func TestADrainLeavesStreamsTheirTimeAndThenCutsThem(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, config)
		client, target := r.both(p, r.root.Client("MacID-1"))
		other, quits := r.both(p, r.root.Client("MacID-2"))
		over, cut := context.WithCancel(context.Background())
		drained := make(chan int, 1)
		go func() { drained <- r.node.Drain(over) }()
		for !r.node.Draining() {
			time.Sleep(time.Millisecond)
		}
		client.say("still here")
		target.hear("still here")
		other.through()
		quits.hearsEnd()
		quits.through()
		other.hearsEnd()
		select {
		case <-drained:
			t.Fatal("the drain did not wait for the stream")
		case <-time.After(50 * time.Millisecond):
		}
		cut()
		select {
		case n := <-drained:
			if n != 1 {
				t.Errorf("%d connections were cut, want 1", n)
			}
		case <-time.After(patience):
			t.Fatal("the drain does not end")
		}
		client.hearsReset()
		target.hearsReset()
	})
}

func TestStreamsOfAListenerThatIsGoneHaveShutdownTimeout(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		config = with(config, "node: {admin: off}", "node: {admin: off, shutdown_timeout: 500ms}")
		r, p := streamed(t, config)
		client, target := r.both(p, r.root.Client("MacID-1"))
		r.parked(2)
		r.publish(with(config, "name: broker", "name: another"))
		client.say("still here")
		target.hear("still here")
		client.hearsEnd()
		target.hearsEnd()
		r.journal.wait(t, event{"event": "stream", "end": "lifetime"})
	})
}

// A target that is deregistered has its delay; then its streams are ended.
func TestStreamsEndWithTheDelayOfTheirTarget(t *testing.T) {
	r, p := streamed(t, with(streamConfig, `"BACKEND"]`, `"BACKEND"], deregistration_delay: 200ms`))
	client, target := r.both(p, r.root.Client("MacID-1"))
	r.parked(2)
	another := newParty(t)
	r.publish(with(strings.ReplaceAll(streamConfig, "BACKEND", another.address), `"]}`, `"], deregistration_delay: 200ms}`))
	client.hearsReset()
	target.hearsEnd()
	r.journal.wait(t, event{"event": "stream", "end": "deregistered"})
}

// byName is a configuration whose rules go by the server name: two.example.com to
// OTHER, everything else to the party.
func byName(config, other string) string {
	return with(config, "    default:", "    rules: [{when: {host: two.example.com}, forward: other}]\n    default:",
		"target_groups:", "target_groups:\n  - {name: other, protocol: tcp, targets: [\""+other+"\"]}")
}

func TestStreamsAreRoutedByServerName(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		two := newParty(t)
		r, one := streamed(t, byName(config, two.address))
		for name, p := range map[string]*party{"one.example.com": one, "two.example.com": two} {
			if config == tcpConfig { // TLS goes through to the target
				conn := tls.Client(r.plain("127.0.0.1:0").conn, &tls.Config{ServerName: name, RootCAs: r.server.Issuer.Pool()})
				done := make(chan error, 1)
				go func() { done <- conn.Handshake() }()
				target := p.next(t)
				server := tls.Server(target.conn, &tls.Config{Certificates: []tls.Certificate{r.server.TLS()}})
				if err := server.Handshake(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := <-done; err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				newEnd(t, conn).say("hello")
				newEnd(t, server).hear("hello")
				continue
			}
			client := newEnd(t, r.dial(r.root.Client("MacID-1"), func(c *tls.Config) { c.ServerName = name }).conn)
			target := p.next(t)
			client.say("hello")
			target.hear("hello")
		}
	})
}

// What is no TLS has no name, and whoever waits for the server to speak first is
// not kept waiting for long.
func TestBytesWithoutANameGoToTheDefault(t *testing.T) {
	two := newParty(t)
	r, one := streamed(t, with(byName(tcpConfig, two.address), "    rules:", "    timeouts: {handshake: 200ms}\n    rules:"))
	for _, first := range []string{"EHLO me\r\n", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", ""} {
		client := newEnd(t, r.plain("127.0.0.1:0").conn)
		if first != "" {
			client.say(first)
		}
		target := one.next(t)
		target.hear(first)
		target.say("220 welcome\r\n")
		client.hear("220 welcome\r\n")
	}
}

func TestHalfAClientHelloIsRefused(t *testing.T) {
	two := newParty(t)
	r, _ := streamed(t, with(byName(tcpConfig, two.address), "    rules:", "    timeouts: {handshake: 200ms}\n    rules:"))
	client := newEnd(t, r.plain("127.0.0.1:0").conn)
	client.say("\x16\x03\x01\x02\x00\x01\x00")
	client.hearsReset()
	r.journal.wait(t, event{"event": "stream", "end": "refused", "denial_code": "HandshakeTimeout"})
}

// A ClientHello in single bytes is read as one; the target gets every byte of it.
func TestAClientHelloMayComeInPieces(t *testing.T) {
	two := newParty(t)
	r, _ := streamed(t, byName(tcpConfig, two.address))
	raw := r.plain("127.0.0.1:0").conn
	raw.(*net.TCPConn).SetNoDelay(true)
	conn := tls.Client(&slowly{raw}, &tls.Config{ServerName: "two.example.com", RootCAs: r.server.Issuer.Pool()})
	done := make(chan error, 1)
	go func() { done <- conn.Handshake() }()
	server := tls.Server(two.next(t).conn, &tls.Config{Certificates: []tls.Certificate{r.server.TLS()}})
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A slowly writes byte by byte.
type slowly struct{ net.Conn }

func (s *slowly) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := s.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// A client that a new rule keeps out loses its stream, though its policy would have
// it.
func TestANewRuleEndsTheStreamsThatItKeepsOut(t *testing.T) {
	optional := with(streamConfig, "mode: verify", "mode: optional")
	r, p := streamed(t, optional)
	lost, session := r.both(p, nil)
	kept, goesOn := r.both(p, r.root.Client("MacID-2"))
	r.publish(with(optional, "    default:", "    require: [client_certificate]\n    default:"))
	lost.hearsEnd()
	session.hearsEnd()
	kept.say("still here")
	goesOn.hear("still here")
	newEnd(t, r.dial(nil).conn).hearsEnd()
}

func TestStreamsOfAnUnhealthyTargetEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		termination string
		ends        bool
	}{
		"at once":                       {", fail_open: false", true},
		"when their interval is over":   {", fail_open: false, connection_termination: {unhealthy: false, unhealthy_draining_interval: 100ms}", true},
		"unless they may stay":          {", fail_open: false, connection_termination: {unhealthy: false}", false},
		"unless there is no better one": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			group := `"BACKEND"], health_check: {interval: 50ms, unhealthy: 1}` + tt.termination
			r, p := streamed(t, with(streamConfig, `"BACKEND"]`, group))
			client := newEnd(t, r.dial(r.root.Client("MacID-1")).conn)
			client.say("hello")
			target := p.next(t)
			for got := make([]byte, 5); ; target = p.next(t) { // health checks come too
				if _, err := io.ReadFull(target.conn, got); err == nil {
					break
				}
			}
			r.parked(2)
			p.ln.Close()
			if tt.ends {
				client.hearsReset()
				target.hearsEnd()
				r.journal.wait(t, event{"event": "stream", "end": "unhealthy"})
				return
			}
			for len(r.fleet.Unwell([]string{"app"})) == 0 {
				time.Sleep(time.Millisecond)
			}
			client.say("still here")
			target.hear("still here")
		})
	}
}

func TestStreamsMayOutliveTheDelayOfTheirTarget(t *testing.T) {
	stay := `"BACKEND"], deregistration_delay: 0s, connection_termination: {deregistration: false}`
	r, p := streamed(t, with(streamConfig, `"BACKEND"]`, stay))
	client, target := r.both(p, r.root.Client("MacID-1"))
	r.parked(2)
	another := newParty(t)
	r.publish(strings.ReplaceAll(with(streamConfig, `"BACKEND"]`, stay), "BACKEND", another.address))
	fresh, elsewhere := r.both(another, r.root.Client("MacID-2"))
	fresh.say("hello")
	elsewhere.hear("hello")
	client.say("still here")
	target.hear("still here")
	client.through()
	target.hearsEnd()
	target.through()
	client.hearsEnd()
}

// Bytes for a target that speaks TLS are encrypted, however many there are at a time.
func TestBytesAreEncryptedAgainForATargetOfProtocolTLS(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		p := newParty(t)
		secured := with(config, `{name: app, protocol: tcp, targets: ["BACKEND"]}`,
			`{name: app, protocol: tls, targets: ["BACKEND"], tls: {ca_bundle: [web.crt], server_name: localhost}}`)
		web := testpki.NewRoot(t, "Target Root")
		r := startWith(t, p.address, config, traffic.Config{})
		r.file("web.crt", web.PEM())
		r.publish(secured)
		var conn net.Conn
		if config == tcpConfig {
			conn = r.plain("127.0.0.1:0").conn
		} else {
			conn = r.dial(r.root.Client("MacID-1")).conn
		}
		client := newEnd(t, conn)
		shown := web.Server("localhost", testpki.DNS("localhost"))
		target := newEnd(t, tls.Server(p.next(t).conn, &tls.Config{Certificates: []tls.Certificate{shown.TLS()}}))
		much := bytes.Repeat([]byte("0123456789abcdef"), 256<<10)
		for _, way := range []struct{ from, to *end }{{client, target}, {target, client}} {
			sent := make(chan error, 1)
			go func() {
				_, err := way.from.conn.Write(much)
				sent <- err
			}()
			got := make([]byte, len(much))
			if _, err := io.ReadFull(way.to.conn, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, much) {
				t.Fatal("other bytes have come than went")
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		client.through()
		target.hearsEnd()
		target.through()
		client.hearsEnd()
	})
}

// A session of MQTT lasts for weeks: what it moves is not told at its end alone.
func TestBytesAreCountedWhileTheyPass(t *testing.T) {
	eachProtocol(t, func(t *testing.T, config string) {
		r, p := streamed(t, config)
		client, target := r.both(p, r.root.Client("MacID-1"))
		client.say("hello")
		target.hear("hello")
		target.say("welcome")
		client.hear("welcome")
		r.counts(`countersign_received_bytes_total{listener="broker",target_group="app"} 5`,
			`countersign_sent_bytes_total{listener="broker",target_group="app"} 7`)

		// Nor when it never falls silent.
		for end := time.Now().Add(patience); r.count(`countersign_received_bytes_total{listener="broker",target_group="app"}`) <= 5; {
			if time.Now().After(end) {
				t.Fatal("nothing more is counted")
			}
			for range 100 {
				client.say("more")
				target.hear("more")
			}
		}
		if n := strings.Count(r.scrape(), "countersign_streams_total{"); n != 0 {
			t.Errorf("%d ends are counted before there is one", n)
		}

		client.through()
		target.hearsEnd()
		target.say("!")
		target.through()
		client.hear("!")
		client.hearsEnd()
		r.journal.wait(t, event{"event": "stream", "end": "finished"})
		r.counts(`countersign_sent_bytes_total{listener="broker",target_group="app"} 8`,
			`countersign_streams_total{end="finished",listener="broker",target_group="app"} 1`)
	})
}

// scrape is what Prometheus reads.
func (r *rig) scrape() string {
	w := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// counts waits until the metrics have all these lines.
func (r *rig) counts(lines ...string) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		shown := r.scrape()
		missing := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(shown, l+"\n") })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%q are not among the metrics:\n%s", missing, shown)
		}
	}
}

// count is what a metric is now.
func (r *rig) count(metric string) float64 {
	r.t.Helper()
	_, rest, _ := strings.Cut(r.scrape(), metric+" ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(line, 64)
	if err != nil {
		r.t.Fatalf("%s is %q", metric, line)
	}
	return n
}

// Nobody has to be let in because there is nothing else to be said of him.
func TestARuleRefusesBytes(t *testing.T) {
	config := with(streamConfig, "    default: {forward: app}", `    rules:
      - {name: ours, when: {client: {subject_cn: "MacID-1"}}, forward: app}
    default: {refuse: "no sensor of ours"}`)
	r, p := streamed(t, config)
	client, target := r.both(p, r.root.Client("MacID-1"))
	newEnd(t, r.dial(r.root.Client("MacID-2")).conn).hearsEnd()
	refused := r.journal.wait(t, event{"event": "stream", "end": "refused", "denial_code": "RefusedByRule", "denial_stage": "route", "matched_rule_priority": 0})
	if reason := refused["denial_reason"]; reason != "no sensor of ours (refused by default of listener broker)" || refused["targets"] != nil {
		t.Errorf("it is refused because %q, tried %v", reason, refused["targets"])
	}
	client.say("hello")
	target.hear("hello")

	// A rule that comes later holds for who is there already.
	r.publish(with(config, "forward: app}\n    default", `refuse: "MacID-1 is at the workshop"}
      - {when: {source_ip: 127.0.0.0/8}, forward: app}
    default`))
	client.hearsEnd()
	target.hearsEnd()
	r.journal.wait(t, event{"event": "stream", "end": "expelled", "denial_code": "RefusedByRule", "matched_rule_name": "ours"})
	other, session := r.both(p, r.root.Client("MacID-2"))
	other.through()
	session.through()
	r.journal.wait(t, event{"event": "stream", "end": "finished", "matched_rule_priority": 2})
	newEnd(t, r.dial(r.root.Client("MacID-1")).conn).hearsEnd()
	r.journal.wait(t, event{"event": "stream", "end": "refused", "matched_rule_name": "ours", "matched_rule_priority": 1})
	r.counts(`countersign_rule_requests_total{listener="broker",rule="ours"} 2`, `countersign_rule_requests_total{listener="broker",rule="2"} 1`,
		`countersign_streams_total{end="refused",listener="broker",target_group=""} 2`, `countersign_streams_total{end="expelled",listener="broker",target_group="app"} 1`)
}

// Nor does anybody stay when there are no rules at all.
func TestADefaultThatRefusesEndsStreams(t *testing.T) {
	r, p := streamed(t, streamConfig)
	client, target := r.both(p, r.root.Client("MacID-1"))
	r.publish(with(streamConfig, "{forward: app}", `{refuse: "closed for the night"}`))
	client.hearsEnd()
	target.hearsEnd()
	r.journal.wait(t, event{"event": "stream", "end": "expelled", "denial_code": "RefusedByRule", "target_group": "app"})
}

// A server name that is nobody's goes to nobody.
func TestBytesForAnUnknownNameAreRefused(t *testing.T) {
	r, p := streamed(t, with(tcpConfig, "    default: {forward: app}", `    rules: [{when: {host: localhost}, forward: app}]
    default: {refuse: "not for this name"}`))
	for _, c := range []*end{newEnd(t, r.plain("127.0.0.1:0").conn), newEnd(t, r.plain("127.0.0.1:0").conn)} {
		hello := tls.Client(c.conn, &tls.Config{ServerName: "elsewhere.example.com"})
		if err := hello.Handshake(); err == nil {
			t.Error("a handshake is made with nobody")
		}
		r.journal.wait(t, event{"event": "stream", "end": "refused", "denial_code": "RefusedByRule", "server_name": "elsewhere.example.com"})
	}
	select {
	case <-p.came:
		t.Error("a target was connected to")
	default:
	}
}

// Who takes a target out of service wants to know who is there.
func TestOperatorsSeeWhereBytesGo(t *testing.T) {
	one, two := newParty(t), newParty(t)
	r := startBefore(t, one.address, with(streamConfig, `targets: ["BACKEND"]`, `targets: ["BACKEND", "`+two.address+`"]`))
	first, second := newEnd(t, r.dial(r.root.Client("MacID-1")).conn), newEnd(t, r.dial(r.root.Client("MacID-2")).conn)
	here, there := one.next(t), two.next(t)
	first.say("hello") // once bytes pass, it is known where
	second.say("hello")
	here.hear("hello")
	there.hear("hello")
	all, _ := r.node.List(live.Query{}, [16]byte{}, 10)
	at := map[string]string{}
	for _, d := range all {
		at[d.TargetGroup+"/"+d.Target] = d.Identity.Subject
	}
	if len(all) != 2 || at["app/"+one.address] == "" || at["app/"+two.address] == "" || at["app/"+one.address] == at["app/"+two.address] {
		t.Errorf("the clients are at %v, want one at %s, one at %s", at, one.address, two.address)
	}
	stays, goes := first, second
	if at["app/"+two.address] == "CN=MacID-1" {
		stays, goes = second, first
	}
	why := countersign.Deny(countersign.StageAccept, countersign.ClosedByOperator, "test")
	if n := r.node.End(live.Query{Match: func(d *live.Description) bool { return d.Target == two.address }}, why); n != 1 {
		t.Errorf("%d are sent away, want one", n)
	}
	goes.hearsEnd()
	there.hearsEnd()
	if all, _ := r.node.List(live.Query{}, [16]byte{}, 10); len(all) != 1 || all[0].Target != one.address {
		t.Errorf("still there: %+v", all)
	}
	stays.through()
}

// Who is kept out by his address is not kept on because he was there before.
func TestARuleEndsBytesThatPassAsTheyAre(t *testing.T) {
	r, p := streamed(t, tcpConfig)
	client, target := r.both(p, nil)
	client.say("hello")
	target.hear("hello")
	if all, _ := r.node.List(live.Query{}, [16]byte{}, 10); len(all) != 1 || all[0].Target != p.address || all[0].Identity != nil {
		t.Errorf("operators see %+v", all)
	}
	r.publish(with(tcpConfig, "    default:", `    rules: [{when: {source_ip: 192.0.2.0/24}, refuse: "the lab has a broker of its own"}]
    default:`))
	client.say("still here")
	target.hear("still here")
	r.publish(with(tcpConfig, "    default:", `    rules: [{when: {source_ip: 127.0.0.0/8}, refuse: "nobody from here"}]
    default:`))
	client.hearsEnd()
	target.hearsEnd()
	r.journal.wait(t, event{"event": "stream", "end": "expelled", "denial_code": "RefusedByRule"})
	if all, _ := r.node.List(live.Query{}, [16]byte{}, 10); len(all) != 0 {
		t.Errorf("operators see %+v", all)
	}
}
