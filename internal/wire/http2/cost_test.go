package http2

import (
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestAConnectionAtRestIsSmall has 1,000 connections rest after a request each,
// whose fields the client has put into the HPACK table.
func TestAConnectionAtRestIsSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory for itself")
	}
	said := func() []byte {
		var out recorder
		r := &raw{Framer: http2.NewFramer(&out, nil)}
		r.enc = hpack.NewEncoder(&r.buf)
		out = append(out, preface...)
		r.WriteSettings()
		r.headers(1, true, head("GET", "user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)", "accept", "text/html,*/*;q=0.8",
			"accept-encoding", "gzip, deflate, br", "authorization", "Bearer 0123456789abcdef0123456789abcdef")...)
		return out
	}()
	const n = 1000
	conns := make([]*Conn, n)
	tapes := make([]*silent, n)
	for i := range tapes {
		tapes[i] = &silent{said: said}
	}
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	for i := range conns {
		conns[i] = New(tapes[i], Config{})
		if err := conns[i].Serve(time.Nanosecond, func(s *Stream) { s.WriteHead(response(200), End); s.Close() }); err != ErrSilent {
			t.Fatal(err)
		}
		conns[i].Rest()
	}
	each := int(live()-before) / n
	t.Logf("%d octets a connection, of which %d are the Conn", each, unsafe.Sizeof(Conn{}))
	const most = 4 << 10
	if each > most {
		t.Errorf("%d octets a connection at rest, expected %d at most", each, most)
	}
	runtime.KeepAlive(conns)
}

// A silent connection has said something and then nothing.
type silent struct {
	net.Conn
	said []byte
}

func (c *silent) Read(p []byte) (int, error) {
	n := copy(p, c.said)
	if c.said = c.said[n:]; n == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return n, nil
}

func (c *silent) Write(p []byte) (int, error)      { return len(p), nil }
func (c *silent) SetReadDeadline(time.Time) error  { return nil }
func (c *silent) SetWriteDeadline(time.Time) error { return nil }

// TestAWarmExchangeAllocatesNextToNothing: what is left are the strings of fields
// that the peer does not put into its HPACK table.
func TestAWarmExchangeAllocatesNextToNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	requests := make(chan *Stream)
	a, b := sockets(t)
	server := New(b, Config{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(0, func(s *Stream) { requests <- s })
	}()
	owner := make(chan struct{})
	go func() {
		defer close(owner)
		for s := range requests {
			s.WriteHead(statusOnly(200), More)
			s.Write(warmBody, End, 0)
			s.Close()
		}
	}()
	r := newRaw(t, a)
	io.WriteString(a, preface)
	r.WriteSettings()
	fields := head("GET", "user-agent", "Mozilla/5.0", "accept", "*/*")
	r.headers(1, true, fields...)
	r.expect("DATA 1 13 end=true")
	// Everything is in the table now: each request is a frame of a few octets.
	block := r.section(fields...)
	frame := append(appendHeader(nil, len(block), http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 0), block...)
	id := uint32(1)
	answer := make([]byte, 9+1+9+len(warmBody))
	n := testing.AllocsPerRun(500, func() {
		id += 2
		appendHeader(frame[:0], len(block), http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id)
		a.Write(frame)
		if _, err := io.ReadFull(a, answer); err != nil {
			t.Fatal(err)
		}
	})
	server.Abort()
	<-ended
	close(requests)
	<-owner
	if n > 1 {
		t.Errorf("%v allocations for an exchange, expected none, or one now and then", n)
	}
}

type statusOnly int

func (s statusOnly) Encode(e *Encoder) { e.Status(int(s)) }
