package http2

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"countersign.dev/internal/testpki"
)

func TestInterruptEndsTheReadUnderWayAndAllLaterOnes(t *testing.T) {
	_, c := rawServer(t, Config{})
	s := begin(t, c, request("POST", "/"), 0)
	defer s.Close()
	if err := s.ReadHead(time.Millisecond); !isTimeout(err) {
		t.Errorf("%v before", err)
	}
	read := make(chan error)
	go func() { read <- s.ReadHead(0) }()
	select {
	case err := <-read:
		t.Errorf("%v before", err)
	case <-time.After(5 * time.Millisecond): // let it wait, most of the time
	}
	s.Interrupt()
	s.Interrupt()
	if err := <-read; err != ErrInterrupted {
		t.Error(err)
	}
	if _, err := s.Read(make([]byte, 1), patience); err != ErrInterrupted {
		t.Errorf("%v behind", err)
	}
	if err := s.Write([]byte("x"), End, patience); err != nil {
		t.Errorf("writing: %v", err)
	}
}

func TestOnGoneTellsOfAReset(t *testing.T) {
	events := make(chan string, 10)
	ready, told := make(chan struct{}), make(chan struct{})
	r, _ := rawClient(t, Config{}, func(s *Stream) {
		s.OnGone(func() { events <- "replaced" })
		s.OnGone(func() { events <- "gone"; close(told) })
		close(ready)
		_, err := s.Read(make([]byte, 1), patience)
		events <- err.Error()
		if err := s.Write([]byte("x"), 0, patience); err == nil {
			t.Error("Write goes on")
		}
		<-told // A stream that is closed before need not be told.
	})
	r.headers(1, false, head("POST")...)
	<-ready
	r.WriteRSTStream(1, http2.ErrCodeCancel)
	got := map[string]bool{<-events: true, <-events: true}
	if !got["gone"] || !got["the HTTP/2 peer reset the stream with CANCEL"] || len(events) > 0 {
		t.Errorf("%v", got)
	}
}

func TestOnceCloseHasReturnedOnGoneIsNotCalled(t *testing.T) {
	// The client resets and the server closes at the same time.
	a, b := sockets(t)
	server := New(b, Config{})
	r := newRaw(t, a)
	io.WriteString(a, preface)
	r.WriteSettings()
	var wg sync.WaitGroup
	wg.Go(func() {
		server.Serve(0, func(s *Stream) {
			wg.Go(func() {
				var closed atomic.Bool
				s.OnGone(func() {
					if closed.Load() {
						t.Error("OnGone was called after Close")
					}
				})
				s.WriteHead(response(200), End)
				s.Close()
				closed.Store(true)
			})
		})
	})
	wg.Go(func() { io.Copy(io.Discard, a) })
	for id := uint32(1); id < 1000; id += 2 {
		r.headers(id, false, head("POST")...)
		r.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	a.Close()
	wg.Wait()
}

func TestWhatIsNotAtItsEndIsResetByClose(t *testing.T) {
	// RFC 9113 section 8.1.
	for _, tt := range []struct {
		name   string
		end    bool
		handle func(*Stream)
		want   []string
	}{
		{"nothing was said", false, func(s *Stream) {}, []string{"RST_STREAM 1 CANCEL"}},
		{"half was said", false, func(s *Stream) { s.WriteHead(response(200), 0) }, []string{"HEADERS 1 end=false", "RST_STREAM 1 CANCEL"}},
		{"all was said, half was heard", false, func(s *Stream) { s.WriteHead(response(200), End) }, []string{"HEADERS 1 end=true", "RST_STREAM 1 NO_ERROR"}},
		{"all was said and heard", true, func(s *Stream) { s.WriteHead(response(200), End) }, []string{"HEADERS 1 end=true", "PING ack=true x"}},
		{"reset before", false, func(s *Stream) { s.Reset(http2.ErrCodeInternal); s.Reset(http2.ErrCodeCancel) }, []string{"RST_STREAM 1 INTERNAL_ERROR", "PING ack=true x"}},
	} {
		r, server := rawClient(t, Config{}, tt.handle)
		r.headers(1, tt.end, head("POST")...)
		for i, want := range tt.want {
			if i == len(tt.want)-1 {
				r.WritePing(false, [8]byte{'x'})
			}
			f := r.next(false)
			for want != "PING ack=true x" && show(f) == "PING ack=true x" {
				f = r.next(false)
			}
			if show(f) != want {
				t.Errorf("%s: %s, expected %s", tt.name, show(f), want)
			}
		}
		server.stop()
	}
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("GET", "/"), End)
	s.Close()
	r.expectReset("RST_STREAM 1 CANCEL") // a client cancels, whatever it has said
}

// expectReset reads until a RST_STREAM comes.
func (r *raw) expectReset(want string) {
	r.t.Helper()
	for {
		f := r.next(false)
		if f.Header().Type == http2.FrameRSTStream {
			if show(f) != want {
				r.t.Errorf("%s, expected %s", show(f), want)
			}
			return
		}
	}
}

func TestACompleteResponseIsKeptThoughTheRequestIsNotWanted(t *testing.T) {
	// RFC 9113 section 8.1: RST_STREAM with NO_ERROR behind a complete response.
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("POST", "/"), 0)
	defer s.Close()
	s.OnGone(func() { t.Error("the stream is not gone") })
	r.headers(1, false, ":status", "413")
	r.WriteData(1, true, []byte("too much"))
	r.WriteRSTStream(1, http2.ErrCodeNo)
	r.WritePing(false, [8]byte{'x'})
	r.expect("PING ack=true x")
	if err := s.Write([]byte("more"), 0, patience); err == nil {
		t.Error("Write goes on")
	}
	if err := s.ReadHead(patience); err != nil || s.Response.Status != 413 {
		t.Errorf("%v %d", err, s.Response.Status)
	}
	if b, err := readAll(s); err != nil || string(b) != "too much" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestWhatCameBeforeAResetCanBeRead(t *testing.T) {
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("GET", "/"), End)
	defer s.Close()
	r.headers(1, false, ":status", "200")
	r.WriteData(1, false, []byte("so far"))
	r.WriteRSTStream(1, http2.ErrCodeInternal)
	r.WritePing(false, [8]byte{'x'})
	r.expect("PING ack=true x")
	if err := s.ReadHead(patience); err != nil {
		t.Fatal(err)
	}
	b, err := readAll(s)
	var e *StreamError
	if string(b) != "so far" || !errors.As(err, &e) || !e.Remote || e.Code != http2.ErrCodeInternal || Unprocessed(err) {
		t.Errorf("%q, %v", b, err)
	}
}

func TestBufferedSaysWhatReadReturnsWithoutWaiting(t *testing.T) {
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("GET", "/"), End)
	defer s.Close()
	ping := func() {
		r.WritePing(false, [8]byte{'x'})
		r.expect("PING ack=true x")
	}
	for _, tt := range []struct {
		do    func()
		n     int
		ended bool
	}{
		{func() {}, 0, false},
		{func() { r.headers(1, false, ":status", "200"); r.WriteData(1, false, []byte("abc")) }, 3, false},
		{func() { r.WriteData(1, true, []byte("de")) }, 5, true},
		{func() { s.ReadHead(patience); readAll(s) }, 0, true},
	} {
		tt.do()
		ping()
		if n, ended := s.Buffered(); n != tt.n || ended != tt.ended {
			t.Errorf("%d %v, expected %d %v", n, ended, tt.n, tt.ended)
		}
	}
}

func TestOctetsOnTheWireAreCounted(t *testing.T) {
	sent, received := make(chan int64, 1), make(chan int64, 1)
	c, _ := pair(t, Config{}, func(s *Stream) {
		echo(s)
		sent <- s.Sent()
		received <- s.Received()
	})
	s := begin(t, c, request("POST", "/"), 0)
	defer s.Close()
	s.Write(make([]byte, 100<<10), 0, patience)
	s.WriteHead(trailers("x", "y"), End)
	s.ReadHead(patience)
	readAll(s)
	if a, b := s.Sent(), <-received; a != b || a < 100<<10+7*frameHeader {
		t.Errorf("%d were sent, %d received", a, b)
	}
	if a, b := s.Received(), <-sent; a != b || a < 100<<10+7*frameHeader {
		t.Errorf("%d were received, %d sent", a, b)
	}
}

// TestWhatIsQueuedTogetherIsWrittenTogether counts the writes to the socket.
func TestWhatIsQueuedTogetherIsWrittenTogether(t *testing.T) {
	a, b := sockets(t)
	counted := &counting{Conn: b}
	server := serve(counted, Config{}, func(s *Stream) {
		s.WriteHead(response(103), More)
		s.WriteHead(response(200), More)
		s.Write([]byte("one"), More, patience)
		s.Write([]byte("two"), More, patience)
		s.WriteHead(trailers("x", "y"), End)
	})
	t.Cleanup(server.stop)
	r := newRaw(t, a)
	io.WriteString(a, preface)
	r.WriteSettings()
	r.WritePing(false, [8]byte{'x'})
	r.expect("PING ack=true x")
	before := counted.count()
	r.headers(1, true, head("GET")...)
	r.expect("HEADERS 1 end=true")
	if n := counted.count() - before; n != 1 {
		t.Errorf("%d writes, expected 1", n)
	}
}

type counting struct {
	net.Conn
	mu sync.Mutex
	n  int
}

func (c *counting) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// TestTLSOutlivesTimeouts: a read deadline that comes within a record or a frame
// loses nothing, and a connection rests between records.
func TestTLSOutlivesTimeouts(t *testing.T) {
	root := testpki.NewRoot(t, "root")
	leaf := root.Server("test.example")
	a, b := sockets(t)
	tlsServer := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}})
	tlsClient := tls.Client(a, &tls.Config{InsecureSkipVerify: true})
	var wg sync.WaitGroup
	wg.Go(func() { tlsServer.Handshake() })
	if err := tlsClient.Handshake(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	server := New(tlsServer, Config{})
	ended := make(chan error, 1)
	go func() {
		for {
			err := server.Serve(time.Millisecond, func(s *Stream) {
				wg.Go(func() { echo(s); s.Close() })
			})
			if err != ErrSilent {
				wg.Wait()
				ended <- err
				return
			}
			server.Rest()
		}
	}()
	client := serve(tlsClient, Config{Client: true}, nil)
	for i := range 20 {
		body := bytes.Repeat([]byte(fmt.Sprint(i)), 1000*i)
		s := begin(t, client, request("POST", "/"), 0)
		for _, part := range [][]byte{body[:len(body)/2], body[len(body)/2:]} {
			if err := s.Write(part, 0, patience); err != nil {
				t.Fatal(err)
			}
			if err := s.ReadHead(time.Duration(i) * time.Millisecond); err != nil && !isTimeout(err) && err != io.EOF {
				t.Fatal(err)
			}
		}
		s.Write(nil, End, patience)
		if got, err := readAll(s); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d octets came back, %v, expected %d", len(got), err, len(body))
		}
		s.Close()
	}
	client.stop()
	if err := <-ended; err == nil {
		t.Error("Serve returned nothing")
	}
}
