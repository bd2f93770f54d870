package h2pool_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health/healthtest"
	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/h2pool/h2pooltest"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/http2"
	"go.uber.org/goleak"
	xhttp2 "golang.org/x/net/http2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for an event that must come.
const patience = 10 * time.Second

// A pool under test, with what it tells, and a clock that can be put forward.
type testPool struct {
	*h2pool.Pool
	forward  atomic.Int64
	failed   atomic.Int64
	inFlight atomic.Int64
}

// newPool returns a pool of connections to address. Zero settings are an hour.
func newPool(t testing.TB, address string, with h2pool.Settings) *testPool {
	p := &testPool{}
	way := reach.New(reach.Config{Address: address, Now: p.now, Failed: func(error) { p.failed.Add(1) }})
	dialing, hangUp := context.WithCancel(context.Background())
	var talkers sync.WaitGroup
	p.Pool = h2pool.New(h2pool.Config{Way: way, Done: func() { p.inFlight.Add(-1) }, Dialing: dialing, Talkers: &talkers})
	if with.IdleTimeout == 0 {
		with.IdleTimeout = time.Hour
	}
	if with.ConnectTimeout == 0 {
		with.ConnectTimeout = time.Hour
	}
	p.Configure(with, p.now())
	t.Cleanup(func() {
		hangUp()
		p.End()
		talkers.Wait()
	})
	return p
}

func (p *testPool) now() time.Time { return time.Now().Add(time.Duration(p.forward.Load())) }

// InFlight returns how many streams were not released.
func (p *testPool) InFlight() int64 { return p.inFlight.Load() }

// Stream is Get, counted.
func (p *testPool) Stream(ctx context.Context) (*h2pool.Stream, error) {
	p.inFlight.Add(1)
	s, err := p.Get(ctx)
	if err != nil {
		p.inFlight.Add(-1)
	}
	return s, err
}

func stream(t testing.TB, p *testPool) *h2pool.Stream {
	t.Helper()
	s, err := p.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStreamsShareAConnection(t *testing.T) {
	b := h2pooltest.NewBackend(t, 0, h2pooltest.Hello)
	p := newPool(t, b.Address, h2pool.Settings{})
	var streams []*h2pool.Stream
	for i := range 20 {
		s := stream(t, p)
		if s.Reused() != (i > 0) {
			t.Errorf("stream %d: reused=%v", i, s.Reused())
		}
		if err := h2pooltest.Ask(s, fmt.Sprint("/", i)); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	if n := p.InFlight(); n != 20 {
		t.Errorf("%d in flight, want 20", n)
	}
	for i, s := range streams {
		if _, body, err := h2pooltest.Answer(s); err != nil || body != fmt.Sprint("hello /", i) {
			t.Errorf("stream %d: %q, %v", i, body, err)
		}
		s.Release()
		s.Release() // counts once
	}
	if n := p.InFlight(); n != 0 {
		t.Errorf("%d in flight at the end, want 0", n)
	}
	if made, open := b.Count(); made != 1 || open != 1 {
		t.Errorf("%d connections made, %d open, want 1", made, open)
	}
	if p.Resting() != 1 || p.failed.Load() != 0 {
		t.Errorf("%d at rest, %d failures", p.Resting(), p.failed.Load())
	}
}

func TestConnectionsHaveAsManyStreamsAsTheTargetAllows(t *testing.T) {
	release := make(chan struct{})
	var now, peak atomic.Int64
	b := h2pooltest.NewBackend(t, 3, func(w http.ResponseWriter, r *http.Request) {
		for n, p := now.Add(1), peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		<-release
		now.Add(-1)
		h2pooltest.Hello(w, r)
	})
	p := newPool(t, b.Address, h2pool.Settings{})
	var streams []*h2pool.Stream
	for range 8 {
		s := stream(t, p)
		if s.Connect() { // the settings are known after that
			t.Error("net/http's server takes extended CONNECT?")
		}
		streams = append(streams, s)
	}
	var wg sync.WaitGroup
	for i, s := range streams {
		if want := i%3 > 0; s.Reused() != want {
			t.Errorf("stream %d: reused=%v, want %v", i, s.Reused(), want)
		}
		wg.Go(func() {
			if _, err := h2pooltest.Fetch(s, "/"); err != nil {
				t.Error(err)
			}
		})
	}
	h2pooltest.Eventually(t, "all 8 requests are at the target", func() bool { return now.Load() == 8 })
	close(release)
	wg.Wait()
	if made, _ := b.Count(); made != 3 {
		t.Errorf("%d connections for 8 streams by 3, want 3", made)
	}
}

// What is not needed grows idle: a stream goes to the fullest connection.
func TestStreamGoesToTheFullestConnectionWithRoom(t *testing.T) {
	b := h2pooltest.NewBackend(t, 2, h2pooltest.Hello)
	p := newPool(t, b.Address, h2pool.Settings{})
	a1 := stream(t, p)
	a1.Connect()
	a2 := stream(t, p)
	b1 := stream(t, p)
	b1.Connect()
	b2 := stream(t, p)
	if a1.Conn() != a2.Conn() || b1.Conn() != b2.Conn() || a1.Conn() == b1.Conn() {
		t.Fatal("not two connections of two streams")
	}
	for _, s := range []*h2pool.Stream{a1, a2, b2} {
		h2pooltest.MustFetch(t, s, "/")
	}
	if s := stream(t, p); s.Conn() != b1.Conn() {
		t.Error("a stream on the idle connection, though the other one has room")
	} else {
		s.Release()
	}
	b1.Release()
}

func TestStreamThatIsGivenBackIsForWhoWaitsLongest(t *testing.T) {
	b := h2pooltest.NewBackend(t, 1, h2pooltest.Hello)
	p := newPool(t, b.Address, h2pool.Settings{})
	first := stream(t, p)
	first.Connect()
	p.HoldDials()
	var queue []chan *h2pool.Stream
	for i := range 3 {
		got := make(chan *h2pool.Stream, 1)
		queue = append(queue, got)
		go func() { got <- stream(t, p) }()
		awaitQueue(t, p, i+1)
	}
	last := first
	for i, got := range queue {
		h2pooltest.MustFetch(t, last, "/")
		last = <-got
		if last.Conn() != first.Conn() || !last.Reused() {
			t.Errorf("%d: not the stream that was given back", i)
		}
		for _, later := range queue[i+1:] {
			if len(later) > 0 {
				t.Errorf("%d: somebody overtook", i)
			}
		}
	}
	h2pooltest.MustFetch(t, last, "/")
	if n := p.InFlight(); n != 0 {
		t.Errorf("%d in flight at the end", n)
	}
}

// awaitQueue waits until n wait.
func awaitQueue(t testing.TB, p *testPool, n int) {
	t.Helper()
	h2pooltest.Eventually(t, fmt.Sprintf("%d wait", n), func() bool {
		return p.Queued() == n
	})
}

func TestConnectionThatGoesAwayTakesNoNewStreams(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	b := h2pooltest.NewBackend(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
		if r.URL.Path == "/last" {
			w.Header().Set("Connection", "close") // net/http's way to a GOAWAY
		}
		h2pooltest.Hello(w, r)
	})
	p := newPool(t, b.Address, h2pool.Settings{})
	slow := stream(t, p)
	old, ended := slow.Conn(), slow.Ended()
	if err := h2pooltest.Ask(slow, "/slow"); err != nil {
		t.Fatal(err)
	}
	<-arrived
	h2pooltest.MustFetch(t, stream(t, p), "/last")
	h2pooltest.Eventually(t, "the GOAWAY has arrived", func() bool {
		s := stream(t, p)
		defer s.Release()
		return s.Conn() != old
	})
	h2pooltest.MustFetch(t, stream(t, p), "/new")
	close(release)
	if status, body, err := h2pooltest.Answer(slow); status != 200 || body != "hello /slow" || err != nil {
		t.Errorf("the stream that was open: %d, %q, %v", status, body, err)
	}
	slow.Release()
	<-ended
	b.Left(t, 1)
}

// The target sends GOAWAY again and again. What it did not process is said to
// be so, and may be sent again; nothing else fails.
func TestLoadWhileConnectionsGoAway(t *testing.T) {
	var served atomic.Int64
	b := h2pooltest.NewBackend(t, 10, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%20 == 0 {
			w.Header().Set("Connection", "close")
		}
		h2pooltest.Hello(w, r)
	})
	p := newPool(t, b.Address, h2pool.Settings{})
	var wg sync.WaitGroup
	var again atomic.Int64
	for worker := range 8 {
		wg.Go(func() {
			for i := range 100 {
				path := fmt.Sprintf("/%d/%d", worker, i)
				for {
					s, err := p.Stream(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					body, err := h2pooltest.Fetch(s, path)
					if http2.Unprocessed(err) {
						again.Add(1)
						continue
					}
					if err != nil || body != "hello "+path {
						t.Errorf("%s: %q, %v", path, body, err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	made, _ := b.Count()
	if made < 10 {
		t.Errorf("only %d connections: nothing went away", made)
	}
	if n := p.InFlight(); n != 0 {
		t.Errorf("%d in flight at the end", n)
	}
	t.Logf("%d connections, %d requests sent again", made, again.Load())
}

func TestOneConnectionIsDialedForAllWhoWait(t *testing.T) {
	b := h2pooltest.NewBackend(t, 0, h2pooltest.Hello)
	p := newPool(t, b.Address, h2pool.Settings{})
	var wg sync.WaitGroup
	for range 90 {
		wg.Go(func() {
			s, err := p.Stream(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := h2pooltest.Fetch(s, "/"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made, _ := b.Count(); made != 1 {
		t.Errorf("%d connections for 90 requests at once, want 1", made)
	}
}

func TestDialFailureIsToldToAllWhoWait(t *testing.T) {
	address := healthtest.Refusing(t)
	p := newPool(t, address, h2pool.Settings{})
	p.HoldDials()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := p.Stream(t.Context())
			if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), address) {
				t.Errorf("got %v", err)
			}
		})
	}
	awaitQueue(t, p, 50)
	p.DialHeld()
	wg.Wait()
	if p.failed.Load() != 1 || p.InFlight() != 0 {
		t.Errorf("%d failures are told of, %d in flight", p.failed.Load(), p.InFlight())
	}
}

func TestWhoGivesUpLeavesTheOthersInTheQueue(t *testing.T) {
	b := h2pooltest.NewBackend(t, 0, h2pooltest.Hello)
	p := newPool(t, b.Address, h2pool.Settings{})
	p.HoldDials()
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp, got := make(chan error), make(chan *h2pool.Stream)
	go func() { _, err := p.Stream(ctx); gaveUp <- err }()
	awaitQueue(t, p, 1)
	go func() { got <- stream(t, p) }()
	awaitQueue(t, p, 2)
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), b.Address) {
		t.Errorf("got %v", err)
	}
	awaitQueue(t, p, 1)
	p.DialHeld()
	h2pooltest.MustFetch(t, <-got, "/")
	if n := p.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestWaitingForAConnectionTimesOut(t *testing.T) {
	p := newPool(t, "192.0.2.1:80", h2pool.Settings{ConnectTimeout: 20 * time.Millisecond})
	p.HoldDials()
	_, err := p.Stream(t.Context())
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || err.Error() != "dial tcp 192.0.2.1:80: i/o timeout" {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestAtMostAHundredStreamsBeforeTheTargetHasSpoken(t *testing.T) {
	s := pooltest.NewServer(t)
	p := newPool(t, s.Address, h2pool.Settings{})
	var streams []*h2pool.Stream
	for range 100 {
		streams = append(streams, stream(t, p))
	}
	peer := s.Accept(t) // now: of two, either could be accepted first
	streams = append(streams, stream(t, p))
	first, last := streams[99], streams[100]
	if streams[0].Conn() != first.Conn() || last.Conn() == first.Conn() {
		t.Error("not one connection for a hundred streams and another one for the next")
	}
	h2pooltest.Speak(t, peer, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 200}, xhttp2.Setting{ID: xhttp2.SettingEnableConnectProtocol, Val: 1})
	if !first.Connect() {
		t.Error("the target takes extended CONNECT")
	}
	if more := stream(t, p); more.Conn() != first.Conn() {
		t.Error("a stream on the emptier connection, though the other one may have 200")
	} else {
		more.Release()
	}
	s.Accept(t).Close()
	<-last.Ended()
	if last.Connect() {
		t.Error("a target that has gone takes extended CONNECT?")
	}
	for _, s := range streams {
		s.Release()
	}
}

// What a target allows it will allow on the next connection; more would be refused
// there, and only so often is a request that was refused offered again.
func TestWhatATargetAllowsIsKnownOfTheNextConnection(t *testing.T) {
	s := pooltest.NewServer(t)
	p := newPool(t, s.Address, h2pool.Settings{})
	var streams []*h2pool.Stream
	next := func() *h2pool.Stream {
		streams = append(streams, stream(t, p))
		return streams[len(streams)-1]
	}
	first := next()
	h2pooltest.Framed(t, s, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 2})
	first.Connect() // the settings are known after that
	if second := next(); second.Conn() != first.Conn() {
		t.Error("another connection, though the first one may have two streams")
	}
	third, fourth, fifth := next(), next(), next() // where the target has not spoken
	if third.Conn() == first.Conn() || fourth.Conn() != third.Conn() || fifth.Conn() == third.Conn() {
		t.Error("not two streams on each connection")
	}
	for _, s := range streams {
		s.Release()
	}
}

func TestTargetThatAllowsNoStreamsIsAnError(t *testing.T) {
	s := pooltest.NewServer(t)
	p := newPool(t, s.Address, h2pool.Settings{})
	first := stream(t, p)
	h2pooltest.Framed(t, s, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 0})
	first.Connect()
	first.Release()
	// Another connection is made; it has streams until its settings are there.
	second := stream(t, p)
	if second.Conn() == first.Conn() {
		t.Error("a stream where none is allowed")
	}
	second.Release()
}

func TestTargetThatIsNotHTTP2IsAnErrorOfTheStream(t *testing.T) {
	b := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(b.Close)
	p := newPool(t, b.Listener.Addr().String(), h2pool.Settings{})
	for range 3 {
		s := stream(t, p)
		if body, err := h2pooltest.Fetch(s, "/"); err == nil {
			t.Errorf("got %q", body)
		}
		<-s.Ended()
	}
}

func TestIdleHTTP2ConnectionsAreClosed(t *testing.T) {
	b := h2pooltest.NewBackend(t, 0, h2pooltest.Hello)
	p := newPool(t, b.Address, h2pool.Settings{IdleTimeout: time.Minute})
	h2pooltest.MustFetch(t, stream(t, p), "/")
	p.forward.Add(int64(59 * time.Second))
	p.Expire(p.now())
	s := stream(t, p)
	if !s.Reused() {
		t.Error("closed before its time")
	}
	p.forward.Add(int64(time.Hour)) // it is not idle
	p.Expire(p.now())
	h2pooltest.MustFetch(t, s, "/")
	p.forward.Add(int64(61 * time.Second))
	p.Expire(p.now())
	b.Left(t, 0)
	if s := stream(t, p); s.Reused() {
		t.Error("a stream on a connection that was idle for too long")
	} else {
		s.Release()
	}
}

func TestHTTP2ConnectionThatTheTargetClosedIsNotUsed(t *testing.T) {
	b := h2pooltest.NewBackend(t, 0, h2pooltest.Hello)
	p := newPool(t, b.Address, h2pool.Settings{})
	s := stream(t, p)
	h2pooltest.MustFetch(t, s, "/")
	b.CloseConns()
	<-s.Ended()
	h2pooltest.Eventually(t, "it is forgotten", func() bool { return p.Resting() == 0 })
	again := stream(t, p)
	if again.Reused() {
		t.Error("a stream on a dead connection")
	}
	h2pooltest.MustFetch(t, again, "/")
}

func TestTheEndCutsStreamsAndThoseWhoWait(t *testing.T) {
	silent := pooltest.NewServer(t)
	p := newPool(t, silent.Address, h2pool.Settings{})
	s := stream(t, p)
	p.HoldDials()
	s.Fill()
	waited := make(chan error, 1)
	go func() { _, err := p.Stream(t.Context()); waited <- err }()
	awaitQueue(t, p, 1)
	if used := p.End(); used != 1 {
		t.Errorf("%d were in use, want 1", used)
	}
	if err := <-waited; !errors.Is(err, reach.ErrDeregistered) {
		t.Errorf("who waited: %v", err)
	}
	if _, _, err := h2pooltest.Answer(s); err == nil {
		t.Error("an answer after the end")
	}
	s.Release()
}
