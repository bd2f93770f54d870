package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/forward/upstream"
)

// Patience is how long a test waits for what must happen before it fails.
const Patience = 30 * time.Second

// A Gateway is what countersign serve wires together, reloads by watched files
// included, without what belongs to a process: signals and the admin address.
type Gateway struct {
	// Fleet issues certificates of clients and Web those of servers. ca.crt,
	// server.crt and server.key are beside the configuration.
	Fleet, Web *testpki.Certificate

	// OnHealth, if it is set before Start, is called when a target turns healthy
	// or unhealthy.
	OnHealth func(target string, healthy bool)
	// Tokens, if it is set before Start, signs tokens.
	Tokens idheader.Signer

	t         testing.TB
	dir       string
	node      *traffic.Node
	targets   *upstream.Fleet
	publisher *publish.Publisher
	log       *tail // of the program
	traffic   *tail // both logs of traffic
	halt      context.CancelFunc
	watching  chan error
	stop      func()
}

// New returns a gateway that does not serve yet, so that a test can issue
// certificates and write the files that its configuration names.
func New(t testing.TB) *Gateway {
	t.Helper()
	g := &Gateway{
		Fleet: testpki.NewRoot(t, "Fleet Root"), Web: testpki.NewRoot(t, "Web Root"),
		t: t, dir: t.TempDir(), log: new(tail), traffic: new(tail), watching: make(chan error, 1),
	}
	g.Web.Server("localhost").Write(g.dir, "server")
	g.Write("ca.crt", g.Fleet.PEM())
	return g
}

// Start puts config into force, and has the gateway stopped with the test.
func (g *Gateway) Start(config string) {
	t := g.t
	t.Helper()
	g.Write("countersign.yaml", []byte(config))
	logger := slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	metrics := telemetry.NewMetrics(telemetry.MetricsConfig{Logger: logger})
	g.targets = upstream.NewFleet(upstream.FleetConfig{
		Logger: logger,
		OnHealth: func(group, target string, healthy bool, _ string) {
			metrics.Health(group, target, healthy)
			if g.OnHealth != nil {
				g.OnHealth(target, healthy)
			}
		},
		OnConnectError: func(group, target string, _ error) { metrics.ConnectFailed(group, target) },
	})
	g.node = traffic.New(traffic.Config{Logger: logger})
	var err error
	g.publisher, err = publish.NewPublisher(publish.PublisherConfig{
		Path: filepath.Join(g.dir, "countersign.yaml"), Node: g.node, Fleet: g.targets, Metrics: metrics,
		Logger: logger, Stdout: g.traffic, Tokens: g.Tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.publisher.Publish(t.Context()); err != nil {
		t.Fatalf("the configuration was refused:\n%v", err)
	}
	var watch context.Context
	watch, g.halt = context.WithCancel(context.Background())
	go func() { g.watching <- g.publisher.Run(watch, nil) }()
	g.stop = sync.OnceFunc(g.end)
	t.Cleanup(g.Stop)
}

// Address is where the listener with that configured address is bound.
func (g *Gateway) Address(configured string) string {
	g.t.Helper()
	bound := g.node.Addresses()[configured]
	if bound == nil {
		g.t.Fatalf("nothing listens at %s", configured)
	}
	return bound.String()
}

// InForce is the snapshot that is.
func (g *Gateway) InForce() *snapshot.Snapshot { return g.node.Current() }

// Write replaces a file beside the configuration in one step.
func (g *Gateway) Write(name string, content []byte) {
	g.t.Helper()
	path := filepath.Join(g.dir, name)
	if err := errors.Join(os.WriteFile(path+".new", content, 0o600), os.Rename(path+".new", path)); err != nil {
		g.t.Fatal(err)
	}
}

// Reload replaces a file and waits until what it says is in force.
func (g *Gateway) Reload(name string, content []byte) {
	g.t.Helper()
	before := g.InForce()
	g.Write(name, content)
	for end := time.Now().Add(Patience); g.InForce() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("the change of %s did not come into force", name)
		}
	}
}

// Stop drains the gateway and releases everything, in the order of serve. What
// its logs said last is shown if the test has failed.
func (g *Gateway) Stop() { g.stop() }

func (g *Gateway) end() {
	g.halt()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	err := <-g.watching
	if cut := g.node.Drain(ctx); cut > 0 {
		g.t.Errorf("%d connections did not end within %v and were cut", cut, Patience)
	}
	last, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := errors.Join(err, g.targets.Close(last), g.publisher.Close(last)); err != nil {
		g.t.Errorf("the gateway ends with %v", err)
	}
	if g.t.Failed() {
		g.t.Logf("the last lines of the program log:\n%s\nand of the logs of traffic:\n%s", g.log, g.traffic)
	}
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// kept is how many bytes a tail shows.
const kept = 16 << 10

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text = append(l.text, p...); len(l.text) > 2*kept {
		l.text = append(l.text[:0], l.text[len(l.text)-kept:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text[max(0, len(l.text)-kept):]
	if _, whole, cut := bytes.Cut(text, []byte("\n")); cut && len(text) < len(l.text) {
		text = whole
	}
	return string(text)
}
