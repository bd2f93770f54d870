package http_test

import (
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/http"
)

// Requests on one connection do not wait for each other: each has a line to a
// target of its own.
func TestRequestsOnOneConnectionDoNotWaitForEachOther(t *testing.T) {
	for _, version := range []string{v1, v2} {
		t.Run(strings.ReplaceAll(version, "/", ""), func(t *testing.T) {
			first, asked := make(chan bool), make(chan string, 2)
			b := start(t, []string{goServer(t, version, func(w nethttp.ResponseWriter, r *nethttp.Request) {
				asked <- r.URL.Path
				if r.URL.Path == "/first" {
					<-first
				}
				io.WriteString(w, r.URL.Path)
			})}, pair{v2, version}.setup)
			p := b.dial2()
			get := func(id uint32, path string) {
				p.head(id, true, ":method", "GET", ":scheme", "https", ":authority", "h", ":path", path)
				receive(t, asked, "the request")
			}
			get(1, "/first")
			get(3, "/second")
			if a := p.answered(3); a.body != "/second" {
				t.Errorf("%+v", a)
			}
			close(first)
			if a := p.answered(1); a.body != "/first" {
				t.Errorf("%+v", a)
			}
		})
	}
}

// As many requests as a client may have under way are under way at once, and
// each gets the answer that is its own.
func TestAHundredAndTwentyEightRequestsAtOnce(t *testing.T) {
	const many = 128
	for _, version := range []string{v1, v2} {
		t.Run(strings.ReplaceAll(version, "/", ""), func(t *testing.T) {
			var here atomic.Int64
			all := make(chan bool)
			b := start(t, []string{goServer(t, version, func(w nethttp.ResponseWriter, r *nethttp.Request) {
				if here.Add(1) == many {
					close(all)
				}
				select {
				case <-all:
				case <-r.Context().Done():
				}
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %s", r.URL.Path, body)
			})}, pair{v2, version}.setup)
			p := b.dial2()
			for i := range uint32(many) {
				path := fmt.Sprintf("/%d", 2*i+1)
				p.head(2*i+1, false, ":method", "POST", ":scheme", "https", ":authority", "h", ":path", path)
				p.data(2*i+1, true, path)
			}
			answers := map[uint32]string{}
			for ended := 0; ended < many; {
				f, err := p.next()
				if err != nil {
					t.Fatal(err)
				}
				answers[f.id] += f.data
				if f.end {
					ended++
				}
			}
			for id, got := range answers {
				if want := fmt.Sprintf("/%d /%d", id, id); got != want {
					t.Errorf("got %q on stream %d, want %q", got, id, want)
				}
			}
		})
	}
}

// One more is refused, and can be asked for again (RFC 9113 section 5.1.2).
func TestARequestTooManyIsRefused(t *testing.T) {
	held := make(chan bool)
	b := start(t, []string{server(t, func(w nethttp.ResponseWriter, r *nethttp.Request) { <-held })}, pair{v2, v1}.setup)
	defer close(held)
	p := b.dial2()
	for i := range uint32(129) {
		p.head(2*i+1, true, get2...)
	}
	if f := p.await(t, h2.FrameRSTStream); f.id != 257 || f.code != h2.ErrCodeRefusedStream {
		t.Errorf("%v", f)
	}
}

// Interrupt ends a connection when nothing is under way any more; the client is
// told, and what it has sent before it knew is served.
func TestInterruptLetsStreamsFinish(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		address, _ := recorder(t, ok)
		b := start(t, []string{address}, pair{v2, v1}.setup)
		p := b.dial2()
		p.head(1, true, get2...)
		p.answered(1)
		b.both(func(f connection) { f.Interrupt() })
		if f := p.goodbye(t); f.code != h2.ErrCodeNo || f.last != 1 {
			t.Errorf("%v, last %d", f, f.last)
		}
	})
	t.Run("under way", func(t *testing.T) {
		h := &held{heads: make(chan string, 4), answer: make(chan string, 4)}
		b := start(t, []string{target(t, h.serve)}, pair{v2, v1}.setup)
		t.Cleanup(func() { close(h.answer) })
		p := b.dial2()
		p.head(1, true, get2...)
		receive(t, h.heads, "the request")
		b.both(func(f connection) { f.Interrupt() })
		p.head(3, true, get2...)
		receive(t, h.heads, "the request that crossed")
		h.answer <- ok
		h.answer <- ok
		if f := p.goodbye(t); f.last != 3 {
			t.Errorf("the client was told that %d is the last", f.last)
		}
		if p.ended != 2 {
			t.Errorf("%d answers came to their end", p.ended)
		}
	})
}

// goodbye reads up to the end of the connection, and returns the last GOAWAY.
func (p *peer) goodbye(t testing.TB) (away frame) {
	t.Helper()
	for {
		f, err := p.next()
		if err == io.EOF {
			return away
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.kind == h2.FrameGoAway {
			away = f
		}
		if f.end {
			p.ended++
		}
	}
}

// A request that is the last of its connection is answered like others; then the
// client is told to go.
func TestTheLastRequestOfAConnectionOverHTTP2(t *testing.T) {
	address, _ := recorder(t, ok)
	b := start(t, []string{address}, pair{v2, v1}.setup, func(s *setup) { s.last = true })
	p := b.dial2()
	p.head(1, true, get2...)
	if a := p.answered(1); a.status != 200 {
		t.Errorf("%+v", a)
	}
	p.await(t, h2.FrameGoAway)
}

// Cut ends everything at once, on both sides.
func TestCutEndsAllStreams(t *testing.T) {
	for _, version := range []string{v1, v2} {
		t.Run(strings.ReplaceAll(version, "/", ""), func(t *testing.T) {
			asked, ended := make(chan bool, 2), make(chan bool, 2)
			b := start(t, []string{goServer(t, version, func(w nethttp.ResponseWriter, r *nethttp.Request) {
				w.WriteHeader(200)
				w.(nethttp.Flusher).Flush()
				asked <- true
				<-r.Context().Done()
				ended <- true
			})}, pair{v2, version}.setup)
			p := b.dial2()
			for _, id := range []uint32{1, 3} {
				p.head(id, true, get2...)
				receive(t, asked, "the request")
			}
			b.both(func(f connection) { f.Cut() })
			for range 2 {
				b.ends(countersign.ShuttingDown)
				receive(t, ended, "the end of it at the target")
			}
			for {
				f, err := p.next()
				if err != nil {
					break
				}
				if f.end {
					t.Errorf("%v looks whole", f)
				}
			}
		})
	}
}

// A fault in one exchange ends its connection, on both sides, and no other. The
// caller has to see it, whichever goroutine found it.
func TestAFaultEndsOneConnectionInAnyVersion(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		ended := make(chan bool, 2)
		address := socketTarget(t, p.target, "", func(s socket) {
			for d := s.receive(1); d != ""; d = s.receive(1) {
				s.send(d)
			}
			ended <- true
		})
		if p.target == v2 { // all on one connection
			address = target2(t, func(p *peer) {
				for {
					f, err := p.next()
					switch {
					case err != nil:
						return
					case f.kind == h2.FrameHeaders:
						p.head(f.id, false, ":status", "200", "sec-websocket-protocol", "chat")
					case f.kind == h2.FrameData:
						p.data(f.id, f.end, f.data)
					case f.kind == h2.FrameRSTStream:
						ended <- true
					}
				}
			}, takesConnect)
		}
		var fault atomic.Bool
		b := start(t, []string{address}, p.setup, func(s *setup) {
			s.still = func() *countersign.Denial {
				if fault.Swap(false) {
					panic("a fault that the test wants")
				}
				return nil
			}
		})
		echoed := func(s socket) {
			s.send("a")
			if got := s.receive(1); got != "a" {
				t.Errorf("got %q", got)
			}
		}
		one, other := b.socket(p.client, ""), b.socket(p.client, "")
		echoed(one)
		echoed(other)
		fault.Store(true)
		one.send("b")
		one.end()
		receive(t, ended, "the end of it at the target")
		if found := receive(t, b.faults, "the fault"); !strings.Contains(fmt.Sprint(found), "a fault that the test wants") {
			t.Errorf("found %v", found)
		}
		none(t, ended, "the other connection has ended")
		echoed(other)
		other.finish()
	})
}

// A rest between two requests keeps what the connection has agreed upon.
func TestAConnectionOverHTTP2ThatRests(t *testing.T) {
	address, got := recorder(t, ok)
	b := start(t, []string{address})
	here, there := net.Pipe()
	defer here.Close()
	here.SetDeadline(time.Now().Add(patience))
	var running sync.WaitGroup
	f := http.NewStreams(piped{there}, b.client, &b.set, func(e *http.Exchange, denial *countersign.Denial) {
		running.Go(func() {
			defer e.Close()
			if res := e.Forward(&http.Terms{Grant: b.grant}); res.Status != 200 || denial != nil {
				t.Errorf("%+v, %v", res, denial)
			}
		})
	})
	came := make(chan http.Arrival)
	await := func() {
		go func() { came <- f.Await(&b.set, 10*time.Millisecond) }()
	}
	await()
	p, err := newPeer(here, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint32(3) {
		p.head(2*i+1, true, append(get2, "x-long", strings.Repeat("v", 100))...)
		if a := p.answered(2*i + 1); a.body != "ok" {
			t.Errorf("%+v", a)
		}
		if h := receive(t, got, "the request"); len(h.fields("x-long")) != 1 {
			t.Errorf("%q", h.head)
		}
		if a := receive(t, came, "silence"); a != http.Silent {
			t.Fatal(a)
		}
		f.Rest()
		await()
	}
	here.Close()
	for a := range came {
		if a == http.Ended {
			break
		}
		await()
	}
	running.Wait()
	f.Finish(false)
}

// What a client that went away was told is not told again: its memory is clean
// for the next one.
func TestAnExchangeIsLeftClean(t *testing.T) {
	address, got := recorder(t, lines("HTTP/1.1 200 OK", "X-Of-The-First: 1", "Content-Length: 0"), ok)
	b := start(t, []string{address}, pair{v2, v1}.setup)
	for i := range 2 {
		p := b.dial2()
		fields := post2
		if i == 0 {
			fields = append(fields, "authorization", "x")
		}
		p.head(1, false, fields...)
		p.data(1, true, strings.Repeat("s", 10*(2-i)))
		heads, _, err := p.message(1)
		if err != nil || heads[0].has("x-of-the-first") != (i == 0) {
			t.Errorf("%v, %v", heads, err)
		}
		h := receive(t, got, "the request")
		if strings.Contains(h.head, "authorization") != (i == 0) || len(h.body) != 10*(2-i) {
			t.Errorf("%+v", h)
		}
		p.Close()
	}
}
