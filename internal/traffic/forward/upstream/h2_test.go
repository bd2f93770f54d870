package upstream

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/h2pool/h2pooltest"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/http2"
)

func stream(t testing.TB, tg *Target) *h2pool.Stream {
	t.Helper()
	s, err := tg.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func h2Group(address string) GroupConfig {
	return GroupConfig{Protocol: "h2", Targets: []string{address}}
}

func TestAnotherProtocolIsAnotherTarget(t *testing.T) {
	f := newFleet(t)
	b := h2pooltest.NewBackend(t, 0, h2pooltest.Hello)
	g := h2Group(b.Address)
	web := target(t, f, g)
	s := stream(t, web)
	g.Protocol = "grpc"
	if rpc := target(t, f, g); rpc == web {
		t.Error("the target is the same")
	} else {
		h2pooltest.MustFetch(t, stream(t, rpc), "/")
	}
	g.Protocol = "http"
	if old := target(t, f, g); old.HTTP2() {
		t.Error("the target still speaks HTTP/2")
	}
	h2pooltest.MustFetch(t, s, "/") // it may finish
	b.Left(t, 0)
	if _, err := f.Apply([]GroupConfig{{Name: "api", Protocol: "h3"}}); err == nil ||
		err.Error() != `target group "api": protocol: "h3", want http, https, h2, grpc, tcp or tls` {
		t.Errorf("got %v", err)
	}
}

func TestTargetIsForItsProtocolAlone(t *testing.T) {
	f := newFleet(t)
	if _, _, err := target(t, f, h2Group("192.0.2.1:80")).Get(); err == nil {
		t.Error("an HTTP/1.1 connection to a target that speaks HTTP/2")
	}
	if _, err := target(t, f, GroupConfig{Targets: []string{"192.0.2.1:80"}}).Stream(t.Context()); err == nil {
		t.Error("a stream to a target that speaks HTTP/1.1")
	}
}

func TestRemovedHTTP2TargetDrains(t *testing.T) {
	f := newFleet(t)
	b := h2pooltest.NewBackend(t, 1, h2pooltest.Hello)
	tg := target(t, f, h2Group(b.Address))
	busy := stream(t, tg)
	busy.Connect()
	idle := stream(t, tg)
	h2pooltest.MustFetch(t, idle, "/")
	f.apply(t)
	b.Left(t, 1)
	late := stream(t, tg) // picked before
	h2pooltest.MustFetch(t, late, "/")
	b.Left(t, 1)
	h2pooltest.MustFetch(t, busy, "/")
	b.Left(t, 0)
}

func TestHTTP2StreamsAreCutAfterTheDeregistrationDelay(t *testing.T) {
	for name, delay := range map[string]time.Duration{"some": 20 * time.Millisecond, "none": -1} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			arrived, gone := make(chan struct{}, 1), make(chan struct{})
			b := h2pooltest.NewBackend(t, 0, func(_ http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				<-r.Context().Done()
				close(gone)
			})
			g := h2Group(b.Address)
			g.DeregistrationDelay = delay
			tg := target(t, f, g)
			s := stream(t, tg)
			if err := h2pooltest.Ask(s, "/"); err != nil {
				t.Fatal(err)
			}
			<-arrived
			f.apply(t)
			if _, _, err := h2pooltest.Answer(s); err == nil {
				t.Error("an answer after the end")
			}
			<-gone
			if _, err := tg.Stream(t.Context()); !errors.Is(err, reach.ErrDeregistered) {
				t.Errorf("got %v, want reach.ErrDeregistered", err)
			}
			if n := tg.InFlight(); n != 1 {
				t.Errorf("%d in flight before Release, want 1", n)
			}
			s.Release()
			if n := tg.InFlight(); n != 0 {
				t.Errorf("%d in flight after Release, want 0", n)
			}
		})
	}
}

func TestCloseWaitsForStreams(t *testing.T) {
	f := newFleet(t)
	b := h2pooltest.NewBackend(t, 0, h2pooltest.Hello)
	tg := target(t, f, h2Group(b.Address))
	s := stream(t, tg)
	done := make(chan error, 1)
	go func() { done <- f.Close(t.Context()) }()
	h2pooltest.Eventually(t, "the fleet closes", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.rosters == nil
	})
	select {
	case err := <-done:
		t.Fatalf("Close returned %v with a stream in use", err)
	default:
	}
	h2pooltest.MustFetch(t, s, "/")
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.Left(t, 0)
	if _, err := tg.Stream(t.Context()); !errors.Is(err, reach.ErrDeregistered) {
		t.Errorf("Stream after Close: %v", err)
	}
}

func TestCloseCutsStreams(t *testing.T) {
	f := newFleet(t)
	silent := pooltest.NewServer(t)
	s := stream(t, target(t, f, h2Group(silent.Address)))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "closed 1 connections") {
		t.Errorf("got %v", err)
	}
	if _, _, err := h2pooltest.Answer(s); err == nil {
		t.Error("an answer after Close")
	}
	s.Release()
}

// Requests go on while targets of all protocols come and go: none fails.
func TestHTTP2LoadWhileConfigurationsChange(t *testing.T) {
	f := newFleet(t)
	backends := make([]*h2pooltest.Backend, 3)
	for i := range backends {
		backends[i] = h2pooltest.NewBackend(t, 0, h2pooltest.Hello)
	}
	config := func(i int) GroupConfig {
		g := GroupConfig{Name: "api", Protocol: []string{"h2", "grpc"}[i/7%2], FailOpen: true, IdleTimeout: 20 * time.Millisecond}
		for j := range 1 + i%2 {
			g.Targets = append(g.Targets, backends[(i+j)%len(backends)].Address)
		}
		if i%5 == 0 {
			g.Health = &health.Config{HTTP2: true, Interval: 10 * time.Millisecond}
		}
		return g
	}
	var current atomic.Pointer[Group]
	current.Store(f.apply(t, config(0))["api"])
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var total atomic.Int64
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				tg, denial := current.Load().Pick(Asker{})
				if denial != nil {
					t.Error(denial)
					return
				}
				s, err := tg.Stream(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if body, err := h2pooltest.Fetch(s, "/x"); err != nil && !http2.Unprocessed(err) || err == nil && body != "hello /x" {
					t.Errorf("%q, %v", body, err)
					return
				}
				total.Add(1)
			}
		})
	}
	for i := range 100 {
		seen := total.Load()
		current.Store(f.apply(t, config(i))["api"])
		h2pooltest.Eventually(t, "requests go on", func() bool { return t.Failed() || total.Load() > seen+8 })
	}
	close(stop)
	wg.Wait()
	t.Logf("%d exchanges", total.Load())
}

func BenchmarkStream(b *testing.B) {
	s := pooltest.NewServer(b)
	tg := target(b, newFleet(b), h2Group(s.Address))
	hold, err := tg.Stream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer hold.Release()
	b.ReportAllocs()
	for b.Loop() {
		s, err := tg.Stream(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		s.Release()
	}
}
