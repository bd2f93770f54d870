package upstream

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health/healthtest"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
)

// target returns the only target of a group of one.
func target(t testing.TB, f *testFleet, g GroupConfig) *Target {
	t.Helper()
	g.Name = "api"
	return pick(t, f.apply(t, g)["api"])
}

func TestReleaseCounts(t *testing.T) {
	s := pooltest.NewServer(t)
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{s.Address}})

	c := get(t, tg, false)
	peer := s.Accept(t)
	c.Release(false)
	pooltest.Closed(t, peer)

	c = get(t, tg, false)
	c.Release(true)
	c.Release(true)
	c.Close()
	if c := get(t, tg, true); tg.InFlight() != 1 {
		t.Errorf("%d in flight after a second Release, want 1", tg.InFlight())
	} else {
		defer c.Close()
	}
	if c := get(t, tg, false); c.Close() != nil || tg.InFlight() != 1 {
		t.Errorf("%d in flight, want 1: a connection was in the pool twice", tg.InFlight())
	}
}

func TestIdleConnectionsAreClosedByTheReaper(t *testing.T) {
	s := pooltest.NewServer(t)
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{s.Address}, IdleTimeout: 50 * time.Millisecond})
	held := get(t, tg, false)
	defer held.Release(false)
	kept := s.Accept(t)
	get(t, tg, false).Release(true)
	pooltest.Closed(t, s.Accept(t))
	pooltest.Open(t, held, kept)
}

func TestConnectErrorsAreCounted(t *testing.T) {
	f := newFleet(t)
	address := healthtest.Refusing(t)
	g := f.apply(t, GroupConfig{Name: "api", Targets: []string{address}})["api"]
	tg := pick(t, g)
	_, _, err := tg.Get()
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
	if got, want := <-f.errors, "api "+address+" "; !strings.HasPrefix(got, want) || !strings.Contains(got, "refused") {
		t.Errorf("hook: %q", got)
	}
	if s := g.Targets()[0]; s.ConnectErrors != 1 || s.InFlight != 0 {
		t.Errorf("got %+v", s)
	}

	// Whoever gives up says nothing about the target.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tg.Dial(ctx); !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "operation was canceled") {
		t.Errorf("got %v", err)
	}
	if s := g.Targets()[0]; s.ConnectErrors != 1 || s.InFlight != 0 {
		t.Errorf("after a canceled Dial: %+v", s)
	}
}

func TestConnectTimesOut(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a full accept queue drops connection attempts on Linux")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) })
	if err != nil {
		t.Fatal(err)
	}
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{l.Addr().String()}, ConnectTimeout: 50 * time.Millisecond})
	for range 5 { // one or two fill the queue
		c, err := tg.DialAs(t.Context(), "", true)
		if err == nil {
			defer c.Release(false)
			continue
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		return
	}
	t.Error("no connection attempt timed out")
}

func TestReuseAllocatesNothing(t *testing.T) {
	s := pooltest.NewServer(t)
	f := newFleet(t)
	tg := target(t, f, GroupConfig{Targets: []string{s.Address}})
	get(t, tg, false).Release(true)
	exchange := func() {
		c, reused, err := tg.Get()
		if err != nil || !reused {
			t.Fatal(reused, err)
		}
		now := time.Now()
		c.ArmWrite(now, time.Minute)
		c.ArmRead(now, time.Minute)
		c.Release(true)
	}
	if n := testing.AllocsPerRun(1000, exchange); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReuse(b *testing.B) {
	s := pooltest.NewServer(b)
	tg := target(b, newFleet(b), GroupConfig{Targets: []string{s.Address}})
	get(b, tg, false).Release(true)
	for b.Loop() {
		c, reused, err := tg.Get()
		if err != nil || !reused {
			b.Fatal(reused, err)
		}
		c.Release(true)
	}
}
