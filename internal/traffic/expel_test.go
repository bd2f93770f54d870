package traffic_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/testpki"
)

// A client that is no longer accepted loses its connection; what is under way on
// it may finish, for a while.

func TestAnExpelledClientFinishesWhatIsUnderWay(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	device := r.root.Client("MacID-1")
	c := r.dial(device)
	c.send()
	<-slow.asked
	r.revoke(1, device)
	r.publish(withLists)
	r.journal.wait(t, event{"event": "expulsion", "denial_code": "ClientCertCrlHit"})
	close(slow.let)
	p := c.reply()
	p.served(t)
	if !p.Close {
		t.Errorf("the last answer lacks Connection: close: %v", p.Header)
	}
	c.ended()
}

func TestWhatDoesNotFinishIsCut(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	device := r.root.Client("MacID-1")
	c := r.dial(device)
	c.send()
	<-slow.asked
	r.revoke(1, device)
	r.publish(withLists)
	r.expelled(c, "ClientCertCrlHit")
	r.journal.wait(t, event{"event": "access", "denial_code": "ClientCertCrlHit", "subject": "CN=MacID-1"})
}

func TestCloseNowResetsTheConnection(t *testing.T) {
	now := with(fleetConfig, "trust_store: fleet}", "trust_store: fleet, close: now}")
	nowWithLists := with(withLists, "trust_store: fleet}", "trust_store: fleet, close: now}")
	for _, state := range []string{"idle", "parked", "in an exchange"} {
		t.Run(state, func(t *testing.T) {
			slow := newGate(t)
			r := startBefore(t, slow.address, now)
			device := r.root.Client("MacID-1")
			c := r.dial(device)
			switch state {
			case "parked":
				r.parked(1)
			case "in an exchange":
				c.send()
				<-slow.asked
			}
			r.revoke(1, device)
			r.publish(nowWithLists)
			if _, err := c.in.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the connection ends with %v, want a reset", err)
			}
			r.expelled(c, "ClientCertCrlHit")
		})
	}
}

// over2 is a client that speaks HTTP/2, and the connections it has made.
func (r *rig) over2(cert *testpki.Certificate) (c *nethttp.Client, ended <-chan struct{}) {
	r.t.Helper()
	shown := cert.TLS()
	end := make(chan struct{})
	transport := &nethttp.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: r.server.Issuer.Pool(), ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil },
	}}
	address := r.address("127.0.0.1:0")
	var once sync.Once
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &watched{conn, func() { once.Do(func() { close(end) }) }}, err
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &nethttp.Client{Transport: transport, Timeout: patience}, end
}

// A watched connection tells when reading from it has ended, or the client has
// closed it, as it does when it reads that the other side has.
type watched struct {
	net.Conn
	ended func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.ended()
	}
	return n, err
}

func (w *watched) Close() error {
	w.ended()
	return w.Conn.Close()
}

func fetch(t testing.TB, c *nethttp.Client) (status int, err error) {
	t.Helper()
	res, err := c.Get("https://localhost/")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Errorf("%s, want HTTP/2", res.Proto)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

func within(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal(what)
	}
}

func TestAnIdleHTTP2ConnectionIsExpelled(t *testing.T) {
	for _, parked := range []bool{false, true} {
		t.Run(fmt.Sprint("parked ", parked), func(t *testing.T) {
			r := start(t, fleetConfig)
			device := r.root.Client("MacID-1")
			c, ended := r.over2(device)
			if status, err := fetch(t, c); status != 200 {
				t.Fatal(status, err)
			}
			if parked {
				r.parked(1)
			}
			r.revoke(1, device)
			r.publish(withLists)
			within(t, "the connection goes on", ended)
			r.journal.wait(t, event{"event": "expulsion", "alpn": "h2", "denial_code": "ClientCertCrlHit"})
		})
	}
}

func TestStreamsUnderWayMayFinish(t *testing.T) {
	for _, in := range []bool{true, false} {
		t.Run(fmt.Sprint("in time ", in), func(t *testing.T) {
			slow := newGate(t)
			r := startBefore(t, slow.address, fleetConfig)
			device := r.root.Client("MacID-1")
			c, ended := r.over2(device)
			type outcome struct {
				status int
				err    error
			}
			outcomes := make(chan outcome, 1)
			go func() {
				status, err := fetch(t, c)
				outcomes <- outcome{status, err}
			}()
			<-slow.asked
			r.revoke(1, device)
			r.publish(withLists)
			r.journal.wait(t, event{"event": "expulsion", "denial_code": "ClientCertCrlHit"})
			if in {
				close(slow.let)
			}
			o := <-outcomes
			if in && o.status != 200 {
				t.Errorf("a stream under way ended with %d, %v", o.status, o.err)
			}
			if !in && o.err == nil {
				t.Errorf("a stream that does not end was answered with %d", o.status)
			}
			within(t, "the connection goes on", ended)
			if !in {
				r.journal.wait(t, event{"event": "access", "denial_code": "ClientCertCrlHit"})
			}
		})
	}
}

func TestARevokedIntermediateFindsItsClients(t *testing.T) {
	scoped := with(withLists, "crls: [crl.pem]", "crls: [crl.pem], scope: chain")
	r := start(t, fleetConfig)
	r.revoke(1)
	r.publish(scoped)
	site, other := r.root.Intermediate("Site"), r.root.Intermediate("Other")
	lost, kept := r.dial(site.Client("MacID-1")), r.dial(other.Client("MacID-2"))
	lost.get().served(t)
	kept.get().served(t)

	r.revoke(2, site)
	r.publish(scoped)

	r.expelled(lost, "ClientCertCrlHit")
	kept.get().served(t)
}

func TestAPinThatIsTakenAwayExpels(t *testing.T) {
	r := start(t, fleetConfig)
	one, two := r.root.Client("MacID-1"), r.root.Client("MacID-2")
	accepting := func(names ...string) string {
		return with(fleetConfig, "ca_bundle: [ca.crt]", fmt.Sprintf("ca_bundle: [ca.crt]\n    accept: [{subject_cn: %q}]", names))
	}
	r.publish(with(accepting("A"), `["A"]`, `["MacID-1", "MacID-2"]`))
	lost, kept := r.dial(one), r.dial(two)
	lost.get().served(t)
	kept.get().served(t)
	r.publish(with(accepting("A"), `["A"]`, `["MacID-2"]`))
	r.expelled(lost, "ClientCertRejected")
	kept.get().served(t)
}

// Who was never admitted loses nothing: it is answered 403 as before.
func TestOnFailureRespondKeepsThoseWhoWereNeverAdmitted(t *testing.T) {
	respond := func(config string) string {
		return with(config, "trust_store: fleet}", "trust_store: fleet, on_failure: respond}")
	}
	r := start(t, respond(fleetConfig))
	device := r.root.Client("MacID-1")
	stranger, admitted := r.dial(testpki.NewRoot(t, "Another Root").Client("MacID-2")), r.dial(device)
	stranger.get().refused(t, 403, "ClientCertUntrusted")
	admitted.get().served(t)

	r.revoke(1, device)
	r.publish(respond(withLists))

	r.expelled(admitted, "ClientCertCrlHit")
	stranger.get().refused(t, 403, "ClientCertUntrusted")
}

// A client that gets better is known from then on.
func TestWhoIsAdmittedLaterCanBeExpelled(t *testing.T) {
	respond := with(withLists, "trust_store: fleet}", "trust_store: fleet, on_failure: respond}")
	r := start(t, fleetConfig)
	other := testpki.NewRoot(t, "Another Root")
	device := other.Client("MacID-1")
	r.revoke(1)
	r.publish(respond)
	c := r.dial(device)
	c.get().refused(t, 403, "ClientCertUntrusted")

	both := append(r.root.PEM(), other.PEM()...)
	r.file("ca.crt", both)
	r.publish(respond)
	c.get().served(t)

	r.file("ca.crt", r.root.PEM())
	r.publish(respond)
	r.expelled(c, "ClientCertUntrusted")
}

// Handshakes, requests, publications and ends at once: nobody who is revoked
// stays, nobody else is touched.
func TestNobodySlipsThroughBetweenHandshakeAndPublication(t *testing.T) {
	r := start(t, fleetConfig)
	r.revoke(1)
	r.publish(withLists)
	good := r.root.Client("good")
	kept := r.dial(good)
	const devices = 12
	var all sync.WaitGroup
	certs := make([]*testpki.Certificate, devices)
	for i := range certs {
		certs[i] = r.root.Client(fmt.Sprintf("MacID-%d", i))
	}
	for i := range devices {
		all.Go(func() {
			c, err := r.try(certs[i])
			if err != nil {
				return // revoked before it came
			}
			// In TLS 1.3 the alert may come instead of an answer. Whatever comes, the
			// end must.
			for range 3 {
				io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			}
			if _, err := io.Copy(io.Discard, bufio.NewReader(c.conn)); errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("device %d is still connected", i)
			} else if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Errorf("device %d is still connected", i)
			}
		})
	}
	for i := range devices {
		r.revoke(int64(i+2), certs[:i+1]...)
		r.publish(withLists)
		kept.get().served(t)
	}
	all.Wait()
	kept.get().served(t)
	r.until("only one is admitted", func() bool { return r.node.Admitted() == 1 })
}

// until waits for what there is no event for.
func (r *rig) until(what string, true func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !true(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not so: %s", what)
		}
	}
}

func TestADrainAndAnExpulsionDoNotMind(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	device := r.root.Client("MacID-1")
	var clients []*client
	for i := range 8 {
		c := r.dial(device)
		if i%2 == 0 {
			c.send()
			<-slow.asked
		}
		clients = append(clients, c)
	}
	r.revoke(1, device)
	r.publish(withLists)
	r.drained(r.drain(t.Context()), 0) // those in an exchange are cut by their expulsion
	for _, c := range clients {
		c.ended()
	}
}

// A WebSocket ends at once, over HTTP/2 its stream; requests beside it finish.
func TestAWebSocketOverHTTP2EndsAtOnce(t *testing.T) {
	r := startBefore(t, accepting(t), fleetConfig)
	device := r.root.Client("MacID-1")
	c := r.dial2(device)
	c.openWebSocket()
	r.revoke(1, device)
	r.publish(withLists)

	if p := c.reply(1); !p.reset && !p.ended {
		t.Errorf("the stream goes on: %+v", p)
	}
	c.ended()
	if c.away == nil {
		t.Error("the connection ended without GOAWAY")
	}
	r.journal.wait(t, event{"event": "expulsion", "alpn": "h2", "denial_code": "ClientCertCrlHit"})
	r.journal.wait(t, event{"event": "access", "type": "wss", "denial_code": "ClientCertCrlHit"})
}

// openWebSocket opens one on stream 1, with further fields.
func (c *client2) openWebSocket(fields ...string) {
	c.t.Helper()
	c.block.Reset()
	fields = append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https",
		":authority", "localhost", ":path", "/", "sec-websocket-version", "13"}, fields...)
	for i := 0; i < len(fields); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := c.frames.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block.Bytes(), EndHeaders: true}); err != nil {
		c.t.Fatal(err)
	}
	c.next = 3
	for c.got[1] == nil || c.got[1].status == 0 {
		if err := c.read(); err != nil {
			c.t.Fatal(err)
		}
	}
	if p := c.got[1]; p.status != 200 {
		c.t.Fatalf("the WebSocket was not opened: %+v", p)
	}
}

// accepting is a backend that opens WebSockets and then says nothing.
func accepting(t testing.TB) string {
	t.Helper()
	return serve(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		sum := sha1.Sum([]byte(q.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		conn, rw, err := w.(nethttp.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		rw.Flush()
		io.Copy(io.Discard, rw)
	})
}

// Two thousand requests a second of fifty clients, and the list is replaced: one
// client loses its connection, the others no request.
func TestOneOfFiftyIsRevokedUnderLoad(t *testing.T) {
	r := start(t, fleetConfig)
	r.revoke(1)
	r.publish(withLists)
	watching, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.publisher.Run(watching, nil) })
	defer running.Wait()
	defer stop()

	const clients, lost = 50, 7
	var served atomic.Int64
	gone, over := make(chan time.Time, 1), make(chan struct{})
	certs := make([]*testpki.Certificate, clients)
	var asking sync.WaitGroup
	for i := range clients {
		certs[i] = r.root.Client(fmt.Sprintf("MacID-%d", i))
		c := r.dial(certs[i])
		asking.Go(func() {
			pace := time.NewTicker(25 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-over:
					return
				case <-pace.C:
				}
				if _, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err == nil {
					var res *nethttp.Response
					if res, err = nethttp.ReadResponse(c.in, nil); err == nil {
						io.Copy(io.Discard, res.Body)
						if res.StatusCode == 200 {
							served.Add(1)
							continue
						}
					}
				}
				if i == lost {
					gone <- time.Now()
				} else {
					t.Errorf("client %d, who is not revoked, lost a request", i)
				}
				return
			}
		})
	}
	r.until("requests are served", func() bool { return served.Load() > 10*clients })
	replaced := time.Now()
	r.revoke(2, certs[lost])
	select {
	case at := <-gone:
		t.Logf("gone %v after the list was written", at.Sub(replaced))
	case <-time.After(patience):
		t.Error("the client is served on")
	}
	before := served.Load()
	r.until("the others are served on", func() bool { return served.Load() > before+10*clients })
	close(over)
	asking.Wait()
	told := r.journal.wait(t, event{"event": "expulsion", "subject": fmt.Sprintf("CN=MacID-%d", lost), "denial_code": "ClientCertCrlHit"})
	if why := fmt.Sprint(told["denial_reason"]); !strings.Contains(why, "crl.pem") || !strings.Contains(why, "number 2") {
		t.Errorf("the log says %q, want the list and its number in it", why)
	}
	if all, _ := r.journal.of(event{"event": "expulsion"}); len(all) != 1 {
		t.Errorf("%d were expelled: %v", len(all), all)
	}
}
