package pool

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for an event that must come.
const patience = 10 * time.Second

// A pool under test, with a clock that can be put forward.
type testPool struct {
	*Pool
	forward atomic.Int64
}

// newPool returns a pool of connections to s. Zero settings are an hour and a
// thousand connections.
func newPool(t testing.TB, s *pooltest.Server, with Settings) *testPool {
	p := &testPool{}
	way := reach.New(reach.Config{
		Address: s.Address,
		Now:     func() time.Time { return time.Now().Add(time.Duration(p.forward.Load())) },
		Failed:  func(err error) { t.Error(err) },
	})
	p.Pool = New(Config{Way: way, Done: func() {}})
	if with.IdleTimeout == 0 {
		with.IdleTimeout = time.Hour
	}
	if with.MaxIdle == 0 {
		with.MaxIdle = 1000
	}
	with.ConnectTimeout = patience
	p.Configure(with, time.Now())
	t.Cleanup(func() { p.End() })
	return p
}

// used returns how many connections are in use.
func (p *testPool) used() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) - len(p.idle)
}

func get(t testing.TB, p *testPool, wantReused bool) *Conn {
	t.Helper()
	c, reused, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if reused != wantReused || c.Reused() != wantReused {
		t.Fatalf("reused=%v, want %v", reused, wantReused)
	}
	return c
}

func TestConnectionsAreReusedLastInFirstOut(t *testing.T) {
	s := pooltest.NewServer(t)
	p := newPool(t, s, Settings{})
	a, b := get(t, p, false), get(t, p, false)
	if p.used() != 2 {
		t.Errorf("%d in flight, want 2", p.used())
	}
	a.Scratch = "a's"
	b.Release(true)
	a.Release(true)
	if p.used() != 0 {
		t.Errorf("%d in flight, want 0", p.used())
	}
	if c := get(t, p, true); c != a || c.Scratch != "a's" {
		t.Error("the connection that came back last is not the first to be used again, with its scratch")
	}
	if c := get(t, p, true); c != b {
		t.Error("not the connection that came back first")
	}
	c := get(t, p, false)
	for _, c := range []*Conn{a, b, c} {
		pooltest.Open(t, c, s.Peer(t, c))
		c.Release(false)
	}
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	s := pooltest.NewServer(t)
	p := newPool(t, s, Settings{IdleTimeout: time.Hour, MaxIdle: 1})
	a, b := get(t, p, false), get(t, p, false)
	second := s.Peer(t, b)
	a.Release(true)
	b.Release(true)
	pooltest.Closed(t, second)

	p = newPool(t, s, Settings{IdleTimeout: time.Hour, MaxIdle: -1})
	c := get(t, p, false)
	peer := s.Peer(t, c)
	c.Release(true)
	pooltest.Closed(t, peer)
}

func TestIdleConnectionsAreNotUsedPastTheTimeout(t *testing.T) {
	s := pooltest.NewServer(t)
	p := newPool(t, s, Settings{IdleTimeout: time.Minute})
	get(t, p, false).Release(true)
	old := s.Accept(t)
	p.forward.Add(int64(59 * time.Second))
	get(t, p, true).Release(true)
	p.forward.Add(int64(61 * time.Second))
	get(t, p, false).Release(true)
	pooltest.Closed(t, old)
}

// probed puts a connection into the pool and lets peer do something to it.
func probed(t *testing.T, do func(c *Conn, peer net.Conn)) (p *testPool, peer net.Conn) {
	s := pooltest.NewServer(t)
	p = newPool(t, s, Settings{})
	c := get(t, p, false)
	peer = s.Accept(t)
	c.Release(true)
	do(c, peer)
	return p, peer
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
	p, _ := probed(t, func(c *Conn, peer net.Conn) {
		peer.Close()
		noticed(t, c)
	})
	get(t, p, false).Release(false)
}

func TestIdleConnectionThatWasResetIsNotUsed(t *testing.T) {
	p, _ := probed(t, func(c *Conn, peer net.Conn) {
		peer.(*net.TCPConn).SetLinger(0)
		peer.Close()
		noticed(t, c)
	})
	get(t, p, false).Release(false)
}

func TestIdleConnectionWithUnaskedBytesIsNotUsed(t *testing.T) {
	p, peer := probed(t, func(c *Conn, peer net.Conn) {
		peer.Write([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n"))
		noticed(t, c)
	})
	get(t, p, false).Release(false)
	pooltest.Closed(t, peer)
}

func TestIdleConnectionThatLivesIsUsedAlthoughADeadlineHasPassed(t *testing.T) {
	p, peer := probed(t, func(c *Conn, peer net.Conn) {
		c.ArmRead(time.Now(), time.Nanosecond)
		c.Read(make([]byte, 1))
	})
	c := get(t, p, true)
	defer c.Release(false)
	pooltest.Open(t, c, peer)
}

func TestConnReadsWithLazyDeadlines(t *testing.T) {
	s := pooltest.NewServer(t)
	p := newPool(t, s, Settings{})
	c := get(t, p, false)
	defer c.Release(false)
	if err := c.ArmRead(time.Now(), 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
	if _, wrapped := c.Net().(interface{ NetConn() net.Conn }); wrapped {
		t.Errorf("Net is a %T, beneath which is another one", c.Net())
	}
}

func TestDialIsAlwaysANewConnection(t *testing.T) {
	s := pooltest.NewServer(t)
	p := newPool(t, s, Settings{})
	get(t, p, false).Release(true)
	c, err := p.Dial(t.Context(), "", false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release(false)
	if c.Reused() || p.used() != 1 {
		t.Errorf("reused=%v, %d in flight", c.Reused(), p.used())
	}
}
