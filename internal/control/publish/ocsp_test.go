package publish_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

const askingConfig = `node: {admin: off}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    limits: {handshakes: 1}
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores:
  - {name: fleet, ca_bundle: [ca.crt], revocation: {ocsp: {mode: require, responder: "RESPONDER", timeout: 3s}}}
target_groups:
  - {name: app, targets: ["BACKEND"]}
`

// newAskingRig serves with a responder, which answers as is set.
func newAskingRig(t *testing.T, answer nethttp.HandlerFunc) *rig {
	t.Helper()
	responder := httptest.NewServer(answer)
	t.Cleanup(responder.Close)
	return newRig(t, strings.ReplaceAll(askingConfig, "RESPONDER", responder.URL), nil)
}

// A visit is a client with a connection.
type visit struct {
	conn *tls.Conn
	in   *bufio.Reader
}

func (r *rig) visit(c *testpki.Certificate) (*visit, error) {
	conn, err := tls.Dial("tcp", r.node.Addresses()["127.0.0.1:0"].String(), &tls.Config{RootCAs: r.web.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{c.TLS()}})
	if err != nil {
		return nil, err
	}
	r.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &visit{conn, bufio.NewReader(conn)}, nil
}

// get makes a request; in TLS 1.3 a refusal shows here.
func (v *visit) get() error {
	if _, err := io.WriteString(v.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	res, err := nethttp.ReadResponse(v.in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
		return fmt.Errorf("%s, %w", res.Status, err)
	}
	return nil
}

// counts waits until the metrics have a line: they are told of a refusal when the
// client has had time to read it.
func (r *rig) counts(t *testing.T, metric string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		w := httptest.NewRecorder()
		r.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if strings.Contains(w.Body.String(), metric) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the metrics lack %s", metric)
		}
	}
}

// The answer is renewed although the client says nothing.
func TestAnAnswerThatBecomesARevocationEndsTheConnection(t *testing.T) {
	var revoked atomic.Bool
	var device *testpki.Certificate
	told := make(chan time.Time, 16)
	ready := make(chan struct{})
	r := newAskingRig(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		<-ready
		answer := testpki.OCSP{Of: device, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(4 * time.Second)}
		if revoked.Load() {
			answer.Status, answer.Reason = 1, 1
			defer func() { told <- time.Now() }()
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		w.Write(answer.DER(t))
	})
	device = r.root.Client("device")
	close(ready)
	r.run()
	v, err := r.visit(device)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.get(); err != nil {
		t.Fatal(err)
	}
	revoked.Store(true)
	if _, err := v.in.ReadByte(); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
	t.Logf("%v after the responder had told", time.Since(<-told).Round(time.Millisecond))
	r.counts(t, `countersign_connections_expelled_total{code="ClientCertOcspHit",listener="devices"} 1`)
	again, err := r.visit(device)
	if err == nil {
		err = again.get()
	}
	if err == nil {
		t.Error("the client is admitted again")
	}
}

// The answer ends, and there is no newer one: without lists prefer lets the client
// stay, require does not.
func TestAnAnswerThatEndsEndsTheConnectionWhereOneIsRequired(t *testing.T) {
	for _, mode := range []string{"require", "prefer"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			var dead atomic.Bool
			var device *testpki.Certificate
			var until time.Time
			ready := make(chan struct{})
			responder := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				<-ready
				if dead.Load() {
					w.WriteHeader(nethttp.StatusServiceUnavailable)
					return
				}
				w.Header().Set("Content-Type", "application/ocsp-response")
				w.Write(testpki.OCSP{Of: device, NextUpdate: until}.DER(t))
			}))
			t.Cleanup(responder.Close)
			r := newRig(t, strings.NewReplacer("RESPONDER", responder.URL, "mode: require", "mode: "+mode).Replace(askingConfig), nil)
			device, until = r.root.Client("device"), time.Now().Add(4*time.Second).Truncate(time.Second)
			close(ready)
			r.run()
			v, err := r.visit(device)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.get(); err != nil {
				t.Fatal(err)
			}
			dead.Store(true)
			if mode == "require" {
				if _, err := v.in.ReadByte(); err != io.EOF {
					t.Errorf("the connection ends with %v", err)
				}
				if time.Now().Before(until) {
					t.Error("the connection has ended before the answer")
				}
				r.counts(t, `countersign_connections_expelled_total{code="ClientCertOcspUnavailable",listener="devices"} 1`)
				return
			}
			v.conn.SetReadDeadline(until.Add(500 * time.Millisecond)) // the answer has ended for a while
			if _, err := v.in.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the connection ends with %v", err)
			}
		})
	}
}

// One handshake computes at a time, a storm of them waits for a responder that
// says nothing, and whoever was there before goes on.
func TestWhoWaitsForAResponderDoesNotHoldUpOthers(t *testing.T) {
	var silent atomic.Bool
	var device *testpki.Certificate
	ready, asked := make(chan struct{}), make(chan struct{}, 1024)
	r := newAskingRig(t, func(w nethttp.ResponseWriter, request *nethttp.Request) {
		<-ready
		if silent.Load() {
			asked <- struct{}{}
			<-request.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		w.Write(testpki.OCSP{Of: device}.DER(t))
	})
	device = r.root.Client("device")
	close(ready)
	v, err := r.visit(device)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.get(); err != nil {
		t.Fatal(err)
	}
	silent.Store(true)
	strangers := make([]*testpki.Certificate, 60)
	for i := range strangers {
		strangers[i] = r.root.Client(fmt.Sprint("stranger ", i))
	}
	var storm sync.WaitGroup
	var over atomic.Bool
	for _, c := range strangers {
		storm.Go(func() {
			s, err := r.visit(c)
			if err == nil {
				err = s.get()
			}
			over.Store(true)
			if err == nil {
				t.Error("somebody of whom nothing is known is admitted")
			}
		})
	}
	<-asked
	for i := range 200 {
		if err := v.get(); err != nil {
			t.Fatalf("request %d of the one who was there before: %v", i, err)
		}
	}
	// So does somebody new of whom all is known.
	known, err := r.visit(device)
	if err == nil {
		err = known.get()
	}
	if err != nil {
		t.Error(err)
	}
	if over.Load() {
		t.Log("the storm was over before the others were done: this run says little")
	}
	storm.Wait()
	r.counts(t, `code="ClientCertOcspUnavailable"`)
}

func TestAnswersOutliveAPublication(t *testing.T) {
	var device *testpki.Certificate
	var asked atomic.Int64
	ready := make(chan struct{})
	r := newAskingRig(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		<-ready
		asked.Add(1)
		w.Header().Set("Content-Type", "application/ocsp-response")
		w.Write(testpki.OCSP{Of: device}.DER(t))
	})
	device = r.root.Client("device")
	close(ready)
	var first *visit
	for i := range 2 {
		v, err := r.visit(device)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.get(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = v
		}
		if err := r.publisher.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.get(); err != nil {
		t.Errorf("the connection that was there before: %v", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
