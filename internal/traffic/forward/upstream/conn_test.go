package upstream

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health/healthtest"
)

// target returns the only target of a group of one.
func target(t testing.TB, f *testFleet, g GroupConfig) *Target {
	t.Helper()
	g.Name = "api"
	return pick(t, f.apply(t, g)["api"])
}

func TestConnectionsAreReusedLastInFirstOut(t *testing.T) {
	s := newServer(t)
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{s.address}})
	a, b := get(t, tg, false), get(t, tg, false)
	if tg.InFlight() != 2 {
		t.Errorf("%d in flight, want 2", tg.InFlight())
	}
	a.Scratch = "a's"
	b.Release(true)
	a.Release(true)
	if tg.InFlight() != 0 {
		t.Errorf("%d in flight, want 0", tg.InFlight())
	}
	if c := get(t, tg, true); c != a || c.Scratch != "a's" {
		t.Error("the connection that came back last is not the first to be used again, with its scratch")
	}
	if c := get(t, tg, true); c != b {
		t.Error("not the connection that came back first")
	}
	c := get(t, tg, false)
	for _, c := range []*Conn{a, b, c} {
		open(t, c, s.accept(t))
		c.Release(false)
	}
}

func TestReleaseCounts(t *testing.T) {
	s := newServer(t)
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{s.address}})

	c := get(t, tg, false)
	peer := s.accept(t)
	c.Release(false)
	closed(t, peer)

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

func TestIdleConnectionsAreBounded(t *testing.T) {
	s := newServer(t)
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{s.address}, MaxIdle: 1})
	a, b := get(t, tg, false), get(t, tg, false)
	s.accept(t)
	second := s.accept(t)
	a.Release(true)
	b.Release(true)
	closed(t, second)

	tg = target(t, newFleet(t), GroupConfig{Targets: []string{s.address}, MaxIdle: -1})
	c := get(t, tg, false)
	peer := s.accept(t)
	c.Release(true)
	closed(t, peer)
}

func TestIdleConnectionsAreNotUsedPastTheTimeout(t *testing.T) {
	s := newServer(t)
	f := newFleet(t)
	tg := target(t, f, GroupConfig{Targets: []string{s.address}, IdleTimeout: time.Minute})
	get(t, tg, false).Release(true)
	old := s.accept(t)
	f.forward.Add(int64(59 * time.Second))
	get(t, tg, true).Release(true)
	f.forward.Add(int64(61 * time.Second))
	get(t, tg, false).Release(true)
	closed(t, old)
}

func TestIdleConnectionsAreClosedByTheReaper(t *testing.T) {
	s := newServer(t)
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{s.address}, IdleTimeout: 50 * time.Millisecond})
	held := get(t, tg, false)
	defer held.Release(false)
	kept := s.accept(t)
	get(t, tg, false).Release(true)
	closed(t, s.accept(t))
	open(t, held, kept)
}

// probed puts a connection into the pool and lets peer do something to it.
func probed(t *testing.T, do func(c *Conn, peer net.Conn)) (f *testFleet, tg *Target, peer net.Conn) {
	s := newServer(t)
	f = newFleet(t)
	tg = target(t, f, GroupConfig{Targets: []string{s.address}})
	c := get(t, tg, false)
	peer = s.accept(t)
	c.Release(true)
	do(c, peer)
	return f, tg, peer
}

// noticed waits until the other end's doing has arrived.
func noticed(t *testing.T, c *Conn) {
	for end := time.Now().Add(patience); c.quiet(); {
		if time.Now().After(end) {
			t.Fatal("the connection still looks alive")
		}
		runtime.Gosched()
	}
}

func TestIdleConnectionThatTheTargetClosedIsNotUsed(t *testing.T) {
	_, tg, _ := probed(t, func(c *Conn, peer net.Conn) {
		peer.Close()
		noticed(t, c)
	})
	get(t, tg, false).Release(false)
}

func TestIdleConnectionThatWasResetIsNotUsed(t *testing.T) {
	_, tg, _ := probed(t, func(c *Conn, peer net.Conn) {
		peer.(*net.TCPConn).SetLinger(0)
		peer.Close()
		noticed(t, c)
	})
	get(t, tg, false).Release(false)
}

func TestIdleConnectionWithUnaskedBytesIsNotUsed(t *testing.T) {
	_, tg, peer := probed(t, func(c *Conn, peer net.Conn) {
		peer.Write([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n"))
		noticed(t, c)
	})
	get(t, tg, false).Release(false)
	closed(t, peer)
}

func TestIdleConnectionThatLivesIsUsedAlthoughADeadlineHasPassed(t *testing.T) {
	_, tg, peer := probed(t, func(c *Conn, peer net.Conn) {
		c.ArmRead(time.Now(), time.Nanosecond)
		c.Read(make([]byte, 1))
	})
	c := get(t, tg, true)
	defer c.Release(false)
	open(t, c, peer)
}

func TestConnReadsWithLazyDeadlines(t *testing.T) {
	s := newServer(t)
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{s.address}})
	c := get(t, tg, false)
	defer c.Release(false)
	if err := c.ArmRead(time.Now(), 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
	if _, ok := c.Net().(*net.TCPConn); !ok {
		t.Errorf("Net is a %T", c.Net())
	}
}

func TestDialIsAlwaysANewConnection(t *testing.T) {
	s := newServer(t)
	tg := target(t, newFleet(t), GroupConfig{Targets: []string{s.address}})
	get(t, tg, false).Release(true)
	c, err := tg.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release(false)
	if c.Reused() || tg.InFlight() != 1 {
		t.Errorf("reused=%v, %d in flight", c.Reused(), tg.InFlight())
	}
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
		c, _, err := tg.Get()
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
	s := newServer(t)
	f := newFleet(t)
	tg := target(t, f, GroupConfig{Targets: []string{s.address}})
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
	s := newServer(b)
	tg := target(b, newFleet(b), GroupConfig{Targets: []string{s.address}})
	get(b, tg, false).Release(true)
	for b.Loop() {
		c, reused, err := tg.Get()
		if err != nil || !reused {
			b.Fatal(reused, err)
		}
		c.Release(true)
	}
}
