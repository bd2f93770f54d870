package publish_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/forward/upstream"
)

const patience = 20 * time.Second

// plainConfig is the least that serves.
const plainConfig = `node: {admin: off}
listeners:
  - {name: plain, address: "127.0.0.1:0", protocol: http, default: {forward: app}}
target_groups:
  - {name: app, targets: ["BACKEND"]}
`

// A rig is a Publisher with a Node, on files.
type rig struct {
	*files
	backend   string
	node      *traffic.Node
	metrics   *telemetry.Metrics
	program   *journal // the program log
	publisher *publish.Publisher
	again     chan struct{}
	close     func()
}

// newRig puts config into force. prepare may be nil.
func newRig(t *testing.T, text string, prepare func(*publish.Draft) (publish.Change, error)) *rig {
	t.Helper()
	backend := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) { io.WriteString(w, "ok") }))
	t.Cleanup(backend.Close)
	r := assemble(t, newFiles(t), prepare)
	r.backend = backend.Listener.Addr().String()
	r.config(text)
	if err := r.publisher.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// newRigOn returns a rig on files that has put nothing into force.
func newRigOn(t *testing.T, f *files) *rig {
	t.Helper()
	return assemble(t, f, nil)
}

func assemble(t *testing.T, f *files, prepare func(*publish.Draft) (publish.Change, error)) *rig {
	t.Helper()
	r := &rig{files: f, program: newJournal(), again: make(chan struct{}),
		node: traffic.New(traffic.Config{}), metrics: telemetry.NewMetrics(telemetry.MetricsConfig{})}
	fleet := upstream.NewFleet(upstream.FleetConfig{})
	var err error
	r.publisher, err = publish.NewPublisher(publish.PublisherConfig{
		Path: r.path("countersign.yaml"), Node: r.node, Fleet: fleet, Metrics: r.metrics,
		Logger: slog.New(slog.NewTextHandler(r.program, nil)), Stdout: io.Discard, Prepare: prepare,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.close = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r.node.Drain(ctx)
		if err := errors.Join(fleet.Close(ctx), r.publisher.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.close)
	return r
}

// run lets the publisher follow its files until the test ends.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.publisher.Run(ctx, r.again) }()
	release := r.close
	r.close = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		release()
	})
	r.t.Cleanup(r.close)
}

// config replaces the configuration file in one step, as editors do.
func (r *rig) config(text string) {
	r.t.Helper()
	r.replace("countersign.yaml", []byte(strings.ReplaceAll(text, "BACKEND", r.backend)))
}

func (r *rig) replace(name string, data []byte) {
	r.t.Helper()
	r.write(name+".new", data)
	if err := os.Rename(r.path(name+".new"), r.path(name)); err != nil {
		r.t.Fatal(err)
	}
}

// serves fails the test unless requests to the listener are answered.
func (r *rig) serves(configured string) {
	r.t.Helper()
	a := r.node.Addresses()[configured]
	if a == nil {
		r.t.Fatalf("nothing listens at %s", configured)
	}
	client := nethttp.Client{Transport: &nethttp.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Get("http://" + a.String())
	if err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		r.t.Errorf("%s answers %d", configured, res.StatusCode)
	}
}

// reloads returns the counts of good and of bad publications.
func (r *rig) reloads() (good, bad int) {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		fmt.Sscanf(line, `countersign_config_reloads_total{result="success"} %d`, &good)
		fmt.Sscanf(line, `countersign_config_reloads_total{result="failure"} %d`, &bad)
	}
	return good, bad
}

// A journal is a log on which a test can wait.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.more)
	j.more = make(chan struct{})
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// wait returns the log once it holds n lines with s.
func (j *journal) wait(t *testing.T, s string, n int) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		j.mu.Lock()
		text, more := j.text.String(), j.more
		j.mu.Unlock()
		if strings.Count(text, s) >= n {
			return text
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("the log does not say %q %d times:\n%s", s, n, text)
		}
	}
}

// taken is an address that somebody else listens at.
func taken(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}
