package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/health/healthtest"
	"countersign.dev/internal/traffic/forward/upstream/pool/pooltest"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/http2"
	xhttp2 "golang.org/x/net/http2"
)

// An h2Backend is net/http's server, speaking HTTP/2 alone, with what connects
// to it.
type h2Backend struct {
	*http.Server
	address string

	mu    sync.Mutex
	conns map[net.Conn]bool // that were made; true: still open
}

// newH2Backend serves until the test ends. streams is how many it allows on a
// connection; 0: net/http's 250.
func newH2Backend(t testing.TB, streams int, serve http.HandlerFunc) *h2Backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &h2Backend{address: l.Addr().String(), conns: map[net.Conn]bool{}}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	b.Server = &http.Server{Handler: serve, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams},
		ConnState: func(c net.Conn, s http.ConnState) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.conns[c] = s != http.StateClosed
		}}
	var served sync.WaitGroup
	served.Go(func() { b.Serve(l) })
	t.Cleanup(func() {
		b.Server.Close()
		served.Wait()
	})
	return b
}

// count returns how many connections were made, and how many are open.
func (b *h2Backend) count() (made, open int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, isOpen := range b.conns {
		if isOpen {
			open++
		}
	}
	return len(b.conns), open
}

// left waits until so many connections are open.
func (b *h2Backend) left(t testing.TB, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d connections are open", want), func() bool {
		_, open := b.count()
		return open == want
	})
}

// eventually waits for what nothing announces.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}

// A getter is the head of a GET.
type getter string

func (path getter) Encode(e *http2.Encoder) {
	e.Request([]byte("GET"), []byte("http"), []byte("backend.test"), []byte(path), nil)
}

func stream(t testing.TB, tg *Target) *Stream {
	t.Helper()
	s, err := tg.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request for path on s.
func ask(s *Stream, path string) error { return s.WriteHead(getter(path), http2.End) }

// answer reads the answer on s.
func answer(s *Stream) (status int, body string, err error) {
	if err := s.ReadHead(patience); err != nil {
		return 0, "", err
	}
	var b strings.Builder
	for p := make([]byte, 1<<10); ; {
		n, err := s.Read(p, patience)
		b.Write(p[:n])
		if err == io.EOF {
			return s.Response.Status, b.String(), nil
		}
		if err != nil {
			return s.Response.Status, b.String(), err
		}
	}
}

// fetch is a whole exchange on s, which is released.
func fetch(s *Stream, path string) (body string, err error) {
	defer s.Release()
	if err := ask(s, path); err != nil {
		return "", err
	}
	status, body, err := answer(s)
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d", status)
	}
	return body, err
}

func mustFetch(t testing.TB, s *Stream, path string) {
	t.Helper()
	if body, err := fetch(s, path); err != nil || body != "hello "+path {
		t.Fatalf("%q, %v", body, err)
	}
}

func hello(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello "+r.URL.Path) }

func h2Group(address string) GroupConfig {
	return GroupConfig{Protocol: "h2", Targets: []string{address}}
}

func TestStreamsShareAConnection(t *testing.T) {
	b := newH2Backend(t, 0, hello)
	tg := target(t, newFleet(t), h2Group(b.address))
	if !tg.HTTP2() || tg.Address() != b.address {
		t.Errorf("HTTP2 %v, address %s", tg.HTTP2(), tg.Address())
	}
	var streams []*Stream
	for i := range 20 {
		s := stream(t, tg)
		if s.Target() != tg || s.Reused() != (i > 0) {
			t.Errorf("stream %d: reused=%v", i, s.Reused())
		}
		if err := ask(s, fmt.Sprint("/", i)); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	if n := tg.InFlight(); n != 20 {
		t.Errorf("%d in flight, want 20", n)
	}
	for i, s := range streams {
		if _, body, err := answer(s); err != nil || body != fmt.Sprint("hello /", i) {
			t.Errorf("stream %d: %q, %v", i, body, err)
		}
		s.Release()
		s.Release() // counts once
	}
	if n := tg.InFlight(); n != 0 {
		t.Errorf("%d in flight at the end, want 0", n)
	}
	if made, open := b.count(); made != 1 || open != 1 {
		t.Errorf("%d connections made, %d open, want 1", made, open)
	}
	if s := tg.describe(health.Status{}); s.Idle != 1 || s.ConnectErrors != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestConnectionsHaveAsManyStreamsAsTheTargetAllows(t *testing.T) {
	release := make(chan struct{})
	var now, peak atomic.Int64
	b := newH2Backend(t, 3, func(w http.ResponseWriter, r *http.Request) {
		for n, p := now.Add(1), peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		<-release
		now.Add(-1)
		hello(w, r)
	})
	tg := target(t, newFleet(t), h2Group(b.address))
	var streams []*Stream
	for range 8 {
		s := stream(t, tg)
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
			if _, err := fetch(s, "/"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all 8 requests are at the target", func() bool { return now.Load() == 8 })
	close(release)
	wg.Wait()
	if made, _ := b.count(); made != 3 {
		t.Errorf("%d connections for 8 streams by 3, want 3", made)
	}
}

// What is not needed grows idle: a stream goes to the fullest connection.
func TestStreamGoesToTheFullestConnectionWithRoom(t *testing.T) {
	b := newH2Backend(t, 2, hello)
	tg := target(t, newFleet(t), h2Group(b.address))
	a1 := stream(t, tg)
	a1.Connect()
	a2 := stream(t, tg)
	b1 := stream(t, tg)
	b1.Connect()
	b2 := stream(t, tg)
	if a1.conn != a2.conn || b1.conn != b2.conn || a1.conn == b1.conn {
		t.Fatal("not two connections of two streams")
	}
	for _, s := range []*Stream{a1, a2, b2} {
		mustFetch(t, s, "/")
	}
	if s := stream(t, tg); s.conn != b1.conn {
		t.Error("a stream on the idle connection, though the other one has room")
	} else {
		s.Release()
	}
	b1.Release()
}

func TestStreamThatIsGivenBackIsForWhoWaitsLongest(t *testing.T) {
	b := newH2Backend(t, 1, hello)
	tg := target(t, newFleet(t), h2Group(b.address))
	first := stream(t, tg)
	first.Connect()
	holdDials(tg)
	var queue []chan *Stream
	for i := range 3 {
		got := make(chan *Stream, 1)
		queue = append(queue, got)
		go func() { got <- stream(t, tg) }()
		awaitQueue(t, tg, i+1)
	}
	last := first
	for i, got := range queue {
		mustFetch(t, last, "/")
		last = <-got
		if last.conn != first.conn || !last.Reused() {
			t.Errorf("%d: not the stream that was given back", i)
		}
		for _, later := range queue[i+1:] {
			if len(later) > 0 {
				t.Errorf("%d: somebody overtook", i)
			}
		}
	}
	mustFetch(t, last, "/")
	if n := tg.InFlight(); n != 0 {
		t.Errorf("%d in flight at the end", n)
	}
}

// holdDials has those who find no room wait, while nobody dials.
func holdDials(tg *Target) {
	tg.h2.mu.Lock()
	defer tg.h2.mu.Unlock()
	tg.h2.dialing = true
}

// awaitQueue waits until n wait.
func awaitQueue(t testing.TB, tg *Target, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d wait", n), func() bool {
		tg.h2.mu.Lock()
		defer tg.h2.mu.Unlock()
		return tg.h2.waiting.Len() == n
	})
}

func TestConnectionThatGoesAwayTakesNoNewStreams(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	b := newH2Backend(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
		if r.URL.Path == "/last" {
			w.Header().Set("Connection", "close") // net/http's way to a GOAWAY
		}
		hello(w, r)
	})
	tg := target(t, newFleet(t), h2Group(b.address))
	slow := stream(t, tg)
	old := slow.conn
	if err := ask(slow, "/slow"); err != nil {
		t.Fatal(err)
	}
	<-arrived
	mustFetch(t, stream(t, tg), "/last")
	eventually(t, "the GOAWAY has arrived", func() bool {
		s := stream(t, tg)
		defer s.Release()
		return s.conn != old
	})
	mustFetch(t, stream(t, tg), "/new")
	close(release)
	if status, body, err := answer(slow); status != 200 || body != "hello /slow" || err != nil {
		t.Errorf("the stream that was open: %d, %q, %v", status, body, err)
	}
	slow.Release()
	<-old.ended
	b.left(t, 1)
}

// The target sends GOAWAY again and again. What it did not process is said to
// be so, and may be sent again; nothing else fails.
func TestLoadWhileConnectionsGoAway(t *testing.T) {
	var served atomic.Int64
	b := newH2Backend(t, 10, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%20 == 0 {
			w.Header().Set("Connection", "close")
		}
		hello(w, r)
	})
	f := newFleet(t)
	tg := target(t, f, h2Group(b.address))
	var wg sync.WaitGroup
	var again atomic.Int64
	for worker := range 8 {
		wg.Go(func() {
			for i := range 100 {
				path := fmt.Sprintf("/%d/%d", worker, i)
				for {
					s, err := tg.Stream(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					body, err := fetch(s, path)
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
	made, _ := b.count()
	if made < 10 {
		t.Errorf("only %d connections: nothing went away", made)
	}
	if n := tg.InFlight(); n != 0 {
		t.Errorf("%d in flight at the end", n)
	}
	t.Logf("%d connections, %d requests sent again", made, again.Load())
}

func TestOneConnectionIsDialedForAllWhoWait(t *testing.T) {
	b := newH2Backend(t, 0, hello)
	tg := target(t, newFleet(t), h2Group(b.address))
	var wg sync.WaitGroup
	for range 90 {
		wg.Go(func() {
			s, err := tg.Stream(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := fetch(s, "/"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made, _ := b.count(); made != 1 {
		t.Errorf("%d connections for 90 requests at once, want 1", made)
	}
}

func TestDialFailureIsToldToAllWhoWait(t *testing.T) {
	f := newFleet(t)
	address := healthtest.Refusing(t)
	g := f.apply(t, GroupConfig{Name: "api", Protocol: "grpc", Targets: []string{address}})["api"]
	if g.Protocol() != "grpc" {
		t.Errorf("protocol %q", g.Protocol())
	}
	tg := pick(t, g)
	holdDials(tg)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := tg.Stream(t.Context())
			if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), address) {
				t.Errorf("got %v", err)
			}
		})
	}
	awaitQueue(t, tg, 50)
	f.talkers.Go(tg.h2.connect)
	wg.Wait()
	if s := g.Targets()[0]; s.ConnectErrors != 1 || s.InFlight != 0 {
		t.Errorf("got %+v", s)
	}
	if got := <-f.errors; !strings.HasPrefix(got, "api "+address+" ") {
		t.Errorf("hook: %q", got)
	}
}

func TestWhoGivesUpLeavesTheOthersInTheQueue(t *testing.T) {
	b := newH2Backend(t, 0, hello)
	f := newFleet(t)
	g := h2Group(b.address)
	g.ConnectTimeout = time.Hour
	tg := target(t, f, g)
	holdDials(tg)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp, got := make(chan error), make(chan *Stream)
	go func() { _, err := tg.Stream(ctx); gaveUp <- err }()
	awaitQueue(t, tg, 1)
	go func() { got <- stream(t, tg) }()
	awaitQueue(t, tg, 2)
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), b.address) {
		t.Errorf("got %v", err)
	}
	awaitQueue(t, tg, 1)
	f.talkers.Go(tg.h2.connect)
	mustFetch(t, <-got, "/")
	if n := tg.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestWaitingForAConnectionTimesOut(t *testing.T) {
	f := newFleet(t)
	tg := target(t, f, GroupConfig{Protocol: "h2", Targets: []string{"192.0.2.1:80"}, ConnectTimeout: 20 * time.Millisecond})
	holdDials(tg)
	_, err := tg.Stream(t.Context())
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || err.Error() != "dial tcp 192.0.2.1:80: i/o timeout" {
		t.Errorf("got %v, want a timeout", err)
	}
}

// framed is a target of which a test writes and reads the frames.
func framed(t *testing.T, s *pooltest.Server, settings ...xhttp2.Setting) (*xhttp2.Framer, net.Conn) {
	t.Helper()
	c := s.Accept(t)
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, len(xhttp2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	f := xhttp2.NewFramer(c, c)
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f, c
}

func TestAtMostAHundredStreamsBeforeTheTargetHasSpoken(t *testing.T) {
	s := pooltest.NewServer(t)
	tg := target(t, newFleet(t), h2Group(s.Address))
	var streams []*Stream
	for range 101 {
		streams = append(streams, stream(t, tg))
	}
	first, last := streams[99], streams[100]
	if streams[0].conn != first.conn || last.conn == first.conn {
		t.Error("not one connection for a hundred streams and another one for the next")
	}
	framed(t, s, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 200}, xhttp2.Setting{ID: xhttp2.SettingEnableConnectProtocol, Val: 1})
	if !first.Connect() {
		t.Error("the target takes extended CONNECT")
	}
	if more := stream(t, tg); more.conn != first.conn {
		t.Error("a stream on the emptier connection, though the other one may have 200")
	} else {
		more.Release()
	}
	s.Accept(t).Close()
	<-last.conn.ended
	if last.Connect() {
		t.Error("a target that has gone takes extended CONNECT?")
	}
	for _, s := range streams {
		s.Release()
	}
}

func TestTargetThatAllowsNoStreamsIsAnError(t *testing.T) {
	s := pooltest.NewServer(t)
	tg := target(t, newFleet(t), h2Group(s.Address))
	first := stream(t, tg)
	framed(t, s, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 0})
	first.Connect()
	first.Release()
	// Another connection is made; it has streams until its settings are there.
	second := stream(t, tg)
	if second.conn == first.conn {
		t.Error("a stream where none is allowed")
	}
	second.Release()
}

func TestTargetThatIsNotHTTP2IsAnErrorOfTheStream(t *testing.T) {
	b := newBackend(t, 200)
	tg := target(t, newFleet(t), h2Group(b.address()))
	for range 3 {
		s := stream(t, tg)
		if body, err := fetch(s, "/"); err == nil {
			t.Errorf("got %q", body)
		}
		<-s.conn.ended
	}
}

func TestIdleHTTP2ConnectionsAreClosed(t *testing.T) {
	b := newH2Backend(t, 0, hello)
	f := newFleet(t)
	g := h2Group(b.address)
	g.IdleTimeout = time.Minute
	tg := target(t, f, g)
	mustFetch(t, stream(t, tg), "/")
	f.forward.Add(int64(59 * time.Second))
	f.sweep(f.now())
	s := stream(t, tg)
	if !s.Reused() {
		t.Error("closed before its time")
	}
	f.forward.Add(int64(time.Hour)) // it is not idle
	f.sweep(f.now())
	mustFetch(t, s, "/")
	f.forward.Add(int64(61 * time.Second))
	f.sweep(f.now())
	b.left(t, 0)
	if s := stream(t, tg); s.Reused() {
		t.Error("a stream on a connection that was idle for too long")
	} else {
		s.Release()
	}
}

func TestHTTP2ConnectionThatTheTargetClosedIsNotUsed(t *testing.T) {
	b := newH2Backend(t, 0, hello)
	tg := target(t, newFleet(t), h2Group(b.address))
	s := stream(t, tg)
	mustFetch(t, s, "/")
	b.mu.Lock()
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	<-s.conn.ended
	eventually(t, "it is forgotten", func() bool { return tg.conns.Resting() == 0 })
	again := stream(t, tg)
	if again.Reused() {
		t.Error("a stream on a dead connection")
	}
	mustFetch(t, again, "/")
}

func TestAnotherProtocolIsAnotherTarget(t *testing.T) {
	f := newFleet(t)
	b := newH2Backend(t, 0, hello)
	g := h2Group(b.address)
	web := target(t, f, g)
	s := stream(t, web)
	g.Protocol = "grpc"
	if rpc := target(t, f, g); rpc == web {
		t.Error("the target is the same")
	} else {
		mustFetch(t, stream(t, rpc), "/")
	}
	g.Protocol = "http"
	if old := target(t, f, g); old.HTTP2() {
		t.Error("the target still speaks HTTP/2")
	}
	mustFetch(t, s, "/") // it may finish
	b.left(t, 0)
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
	b := newH2Backend(t, 1, hello)
	tg := target(t, f, h2Group(b.address))
	busy := stream(t, tg)
	busy.Connect()
	idle := stream(t, tg)
	mustFetch(t, idle, "/")
	f.apply(t)
	<-idle.conn.ended
	b.left(t, 1)
	late := stream(t, tg) // picked before
	mustFetch(t, late, "/")
	<-late.conn.ended
	mustFetch(t, busy, "/")
	<-busy.conn.ended
	b.left(t, 0)
}

func TestHTTP2StreamsAreCutAfterTheDeregistrationDelay(t *testing.T) {
	for name, delay := range map[string]time.Duration{"some": 20 * time.Millisecond, "none": -1} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			arrived, gone := make(chan struct{}, 1), make(chan struct{})
			b := newH2Backend(t, 0, func(_ http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				<-r.Context().Done()
				close(gone)
			})
			g := h2Group(b.address)
			g.DeregistrationDelay = delay
			tg := target(t, f, g)
			s := stream(t, tg)
			if err := ask(s, "/"); err != nil {
				t.Fatal(err)
			}
			<-arrived
			f.apply(t)
			if _, _, err := answer(s); err == nil {
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
	b := newH2Backend(t, 0, hello)
	tg := target(t, f, h2Group(b.address))
	s := stream(t, tg)
	done := make(chan error, 1)
	go func() { done <- f.Close(t.Context()) }()
	eventually(t, "the fleet closes", func() bool {
		tg.h2.mu.Lock()
		defer tg.h2.mu.Unlock()
		return tg.h2.leaving
	})
	select {
	case err := <-done:
		t.Fatalf("Close returned %v with a stream in use", err)
	default:
	}
	mustFetch(t, s, "/")
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.left(t, 0)
	if _, err := tg.Stream(t.Context()); !errors.Is(err, reach.ErrDeregistered) {
		t.Errorf("Stream after Close: %v", err)
	}
}

func TestCloseCutsStreamsAndThoseWhoWait(t *testing.T) {
	f := newFleet(t)
	silent := pooltest.NewServer(t)
	g := h2Group(silent.Address)
	g.ConnectTimeout = time.Hour
	tg := target(t, f, g)
	s := stream(t, tg)
	tg.h2.mu.Lock()
	tg.h2.dialing, s.conn.full = true, true
	tg.h2.mu.Unlock()
	waited := make(chan error, 1)
	go func() { _, err := tg.Stream(t.Context()); waited <- err }()
	eventually(t, "somebody waits", func() bool { return tg.InFlight() == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "closed 1 connections") {
		t.Errorf("got %v", err)
	}
	if err := <-waited; !errors.Is(err, reach.ErrDeregistered) {
		t.Errorf("who waited: %v", err)
	}
	if _, _, err := answer(s); err == nil {
		t.Error("an answer after Close")
	}
	s.Release()
}

// Requests go on while targets of all protocols come and go: none fails.
func TestHTTP2LoadWhileConfigurationsChange(t *testing.T) {
	f := newFleet(t)
	backends := make([]*h2Backend, 3)
	for i := range backends {
		backends[i] = newH2Backend(t, 0, hello)
	}
	config := func(i int) GroupConfig {
		g := GroupConfig{Name: "api", Protocol: []string{"h2", "grpc"}[i/7%2], FailOpen: true, IdleTimeout: 20 * time.Millisecond}
		for j := range 1 + i%2 {
			g.Targets = append(g.Targets, backends[(i+j)%len(backends)].address)
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
				if body, err := fetch(s, "/x"); err != nil && !http2.Unprocessed(err) || err == nil && body != "hello /x" {
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
		eventually(t, "requests go on", func() bool { return t.Failed() || total.Load() > seen+8 })
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
