package traffic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	nethttp "net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/forward/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen before it fails.
const patience = 20 * time.Second

// A rig is a Node that a Publisher feeds, between clients and a backend, with
// everything real: files, TLS, sockets.
type rig struct {
	t       testing.TB
	dir     string
	root    *testpki.Certificate // of the clients
	server  *testpki.Certificate
	node    *traffic.Node
	metrics *telemetry.Metrics
	journal *journal // both logs

	signs     *signs // tokens
	publisher *publish.Publisher
	fleet     *upstream.Fleet
	backend   string // address
	stopOnce  sync.Once
}

// fleetConfig is the main job; tests change words in it. Both logs go to the
// journal.
const fleetConfig = `
node: {admin: off}
logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    identity_headers: [aws]
    default: {forward: app}
trust_stores:
  - name: fleet
    ca_bundle: [ca.crt]
target_groups:
  - {name: app, targets: ["BACKEND"]}
`

// start serves config with a backend that tells what it was sent.
func start(t testing.TB, config string) *rig {
	t.Helper()
	return startBefore(t, echo(t), config)
}

// startBefore serves config with the backend at that address.
func startBefore(t testing.TB, backend, config string) *rig {
	t.Helper()
	return startWith(t, backend, config, traffic.Config{})
}

// startWith is startBefore with a node of that kind.
func startWith(t testing.TB, backend, config string, node traffic.Config) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), backend: backend, journal: newJournal(),
		signs: &signs{}, root: testpki.NewRoot(t, "Fleet Root"), metrics: telemetry.NewMetrics(telemetry.MetricsConfig{})}
	r.server = testpki.NewRoot(t, "Web Root").Server("localhost",
		testpki.DNS("localhost", "open.example.com", "ops.example.com", "*.ops.example.com", "*.example.com"))
	r.server.Write(r.dir, "server")
	r.file("ca.crt", r.root.PEM())
	node.Silence = 20 * time.Millisecond
	r.node = traffic.New(node)
	r.fleet = upstream.NewFleet(upstream.FleetConfig{})
	var err error
	r.publisher, err = publish.NewPublisher(publish.PublisherConfig{
		Path: filepath.Join(r.dir, "countersign.yaml"), Node: r.node, Fleet: r.fleet, Metrics: r.metrics, Stdout: r.journal, Tokens: r.signs,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	r.publish(config)
	return r
}

// file writes a file beside the configuration.
func (r *rig) file(name string, data []byte) {
	r.t.Helper()
	testpki.WriteFile(r.t, filepath.Join(r.dir, name), data)
}

// publish puts config into force.
func (r *rig) publish(config string) {
	r.t.Helper()
	r.file("countersign.yaml", []byte(strings.ReplaceAll(config, "BACKEND", r.backend)))
	if err := r.publisher.Publish(r.t.Context()); err != nil {
		r.t.Fatalf("the configuration was refused:\n%v", err)
	}
}

// stop ends everything; the logs are complete afterwards.
func (r *rig) stop() {
	r.stopOnce.Do(func() {
		// The clients of a test may be open still: they are cut.
		over, cancel := context.WithCancel(context.Background())
		cancel()
		r.node.Drain(over)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.fleet.Close(ctx); err != nil {
			r.t.Error(err)
		}
		if err := r.publisher.Close(ctx); err != nil {
			r.t.Error(err)
		}
	})
}

// address is where the one listener with that configured address is bound.
func (r *rig) address(configured string) string {
	r.t.Helper()
	a := r.node.Addresses()[configured]
	if a == nil {
		r.t.Fatalf("nothing listens at %s", configured)
	}
	return a.String()
}

// revoke writes crl.pem with these certificates on the list.
func (r *rig) revoke(number int64, certs ...*testpki.Certificate) {
	r.file("crl.pem", testpki.CRLPEM(r.root.CRL(testpki.CRLNumber(number), testpki.Revoke(certs...))))
}

// withLists is fleetConfig with a revocation list.
var withLists = with(fleetConfig, "ca_bundle: [ca.crt]", "ca_bundle: [ca.crt]\n    revocation: {crls: [crl.pem]}")

// with replaces words of a configuration, pairs of old and new.
func with(config string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(config, pairs[i]) {
			panic(fmt.Sprintf("%q is not in the configuration", pairs[i]))
		}
	}
	return strings.NewReplacer(pairs...).Replace(config)
}

// A journal is both logs of a rig: an io.Writer of JSON lines on which a test
// can wait.
type journal struct {
	mu    sync.Mutex
	lines []event
	more  chan struct{} // closed when there is another line
}

// An event is a line of a log.
type event map[string]any

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range bytes.Lines(p) {
		e := event{}
		if err := json.Unmarshal(line, &e); err != nil {
			e["broken"] = string(line)
		}
		j.lines = append(j.lines, e)
	}
	close(j.more)
	j.more = make(chan struct{})
	return len(p), nil
}

// of returns the lines so far whose members are as in want.
func (j *journal) of(want event) (found []event, more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.lines {
		if e.has(want) {
			found = append(found, e)
		}
	}
	return found, j.more
}

func (e event) has(want event) bool {
	for k, v := range want {
		if fmt.Sprint(e[k]) != fmt.Sprint(v) {
			return false
		}
	}
	return true
}

// wait returns the first line whose members are as in want.
func (j *journal) wait(t testing.TB, want event) event {
	t.Helper()
	timeout := time.After(patience)
	for {
		found, more := j.of(want)
		if len(found) > 0 {
			return found[0]
		}
		select {
		case <-more:
		case <-timeout:
			all, _ := j.of(nil)
			t.Fatalf("no line of the logs has %v:\n%v", want, all)
		}
	}
}

// echo is a backend that answers with the request's header, as JSON.
func echo(t testing.TB) string {
	return serve(t, writeHeader)
}

func writeHeader(w nethttp.ResponseWriter, q *nethttp.Request) { json.NewEncoder(w).Encode(q.Header) }

// serve is a backend.
func serve(t testing.TB, handle nethttp.HandlerFunc) string {
	t.Helper()
	return serveWith(t, nil, handle)
}

// serveWith is a backend that speaks these versions of HTTP; nil: HTTP/1.1.
func serveWith(t testing.TB, protocols *nethttp.Protocols, handle nethttp.HandlerFunc) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nethttp.Server{Handler: handle, Protocols: protocols}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String()
}
