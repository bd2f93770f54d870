package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/wire/http1"
)

// A tape is a connection on which the peer has said all it will say. What it is
// told is checked: it has to be frames.
type tape struct {
	in    *bytes.Reader
	piece int // octets that one Read returns at most

	mu  sync.Mutex
	out bytes.Buffer
}

func (c *tape) Read(p []byte) (int, error) {
	if c.in.Len() == 0 {
		return 0, io.EOF
	}
	return c.in.Read(p[:min(len(p), c.piece)])
}

func (c *tape) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *tape) Close() error                     { return nil }
func (c *tape) LocalAddr() net.Addr              { return nil }
func (c *tape) RemoteAddr() net.Addr             { return nil }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// said are frames that fuzzing starts from.
func said(do func(r *raw)) []byte {
	var out recorder
	r := &raw{Framer: http2.NewFramer(&out, nil)}
	r.AllowIllegalWrites = true
	r.enc = hpack.NewEncoder(&r.buf)
	r.WriteSettings()
	do(r)
	return out
}

func conversations() [][]byte {
	return [][]byte{
		said(func(r *raw) { r.headers(1, true, head("GET")...) }),
		said(func(r *raw) {
			r.headers(1, false, head("POST", "content-length", "5", "cookie", "a=b", "cookie", "c=d")...)
			r.WriteDataPadded(1, false, []byte("hello"), make([]byte, 9))
			r.WriteWindowUpdate(0, 100)
			r.headers(1, true, "x-sum", "1")
		}),
		said(func(r *raw) {
			block := r.section(head("GET")...)
			r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:2]})
			r.WriteContinuation(1, true, block[2:])
			r.WriteRSTStream(1, http2.ErrCodeCancel)
			r.WriteData(1, true, []byte("late"))
		}),
		said(func(r *raw) {
			r.WritePing(false, [8]byte{1})
			r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
			r.WritePriority(3, http2.PriorityParam{StreamDep: 1})
			r.WriteGoAway(0, http2.ErrCodeNo, []byte("bye"))
			r.WriteRawFrame(0x77, 1, 2, []byte("x"))
		}),
		said(func(r *raw) {
			r.headers(1, false, ":status", "103")
			r.headers(1, true, ":status", "200", "content-length", "0")
		}),
		said(func(r *raw) {
			r.headers(1, false, ":status", "200")
			r.WriteData(1, false, bytes.Repeat([]byte("x"), 5000))
			r.headers(1, true, "grpc-status", "0")
		}),
	}
}

// FuzzServe has a peer send any octets behind the preface, in pieces of any size,
// to either side: nothing panics or hangs, little memory is held, every stream
// comes to an end, and what we say are frames.
func FuzzServe(f *testing.F) {
	for _, b := range conversations() {
		f.Add(b, uint16(1000), false)
		f.Add(b, uint16(1), false)
		f.Add(b, uint16(7), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint16, client bool) {
		if len(b) > 100<<10 {
			return
		}
		said := b
		if !client {
			said = append([]byte(preface), b...)
		}
		rw := &tape{in: bytes.NewReader(said), piece: max(1, int(piece))}
		config := Config{Client: client, Streams: 4, Window: 1 << 16, ConnWindow: 1 << 17, Connect: true,
			Limits: http1.Limits{Line: 1000, Field: 1000, Head: 4000, Count: 20}}
		c := New(rw, config)
		var owned sync.WaitGroup
		own := func(s *Stream) {
			owned.Go(func() {
				defer s.Close()
				s.OnGone(func() {})
				if client {
					for s.ReadHead(patience) == nil {
						if s.Response.Status < 100 || len(s.Response.Fields) > config.Limits.Count {
							t.Errorf("%+v", s.Response)
						}
					}
				} else {
					checkRequest(t, s, &config)
				}
				p := make([]byte, 1000)
				total := int64(0)
				for {
					n, err := s.Read(p, patience)
					total += int64(n)
					if isTimeout(err) {
						t.Error("Read hangs")
					}
					if err == io.EOF && s.Fault == nil && s.Request.Body == http1.Length && total != s.Request.ContentLength {
						t.Errorf("%d octets of %d", total, s.Request.ContentLength)
					}
					if err != nil {
						break
					}
				}
				for _, f := range s.Trailers() {
					if f.Kind != http1.Other || bytes.ContainsAny(f.Name, ": ABC") {
						t.Errorf("trailer %q", f.Name)
					}
				}
				if !client {
					s.WriteHead(response(200), More)
					s.Write(make([]byte, 70000), End, time.Microsecond)
				}
			})
		}
		if client {
			for range 3 {
				if s, err := c.NewStream(); err == nil && s.WriteHead(request("GET", "/"), End) == nil {
					own(s)
				}
			}
		}
		err := c.Serve(0, own)
		owned.Wait()
		if err == nil || err == ErrSilent || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Serve returned %v", err)
		}
		if n := c.OpenStreams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
		if c.in != nil || len(c.gone)+len(c.crowded)+len(c.starved) != 0 {
			t.Error("something is left")
		}
		checkFrames(t, rw.out.Bytes(), client)
	})
}

// checkRequest holds a request against what every request has to be.
func checkRequest(t *testing.T, s *Stream, config *Config) {
	q := &s.Request
	if len(q.Fields) > config.Limits.Count {
		t.Errorf("%d fields", len(q.Fields))
	}
	if s.Malformed && s.Fault == nil {
		t.Error("malformed without a fault")
	}
	if s.Fault != nil {
		if s.Fault.Status < 400 || s.Fault.Kind == "" || s.Fault.Reason == "" {
			t.Errorf("%+v", s.Fault)
		}
		return
	}
	if len(q.Method) == 0 || len(q.Target) == 0 || len(q.Host) == 0 {
		t.Errorf("%q %q %q", q.Method, q.Target, q.Host)
	}
	for _, f := range q.Fields {
		if bytes.ContainsAny(f.Value, "\r\n\x00") || bytes.ContainsAny(f.Name, ": \r\n\x00ABCXYZ") || len(f.Name) == 0 {
			t.Errorf("%q: %q", f.Name, f.Value)
		}
	}
}

// checkFrames parses what we have said.
func checkFrames(t *testing.T, b []byte, client bool) {
	if client {
		if !bytes.HasPrefix(b, []byte(preface)) {
			t.Errorf("it starts with %q", b[:min(len(b), 30)])
			return
		}
		b = b[len(preface):]
	}
	r := bytes.NewReader(b)
	framer := http2.NewFramer(nil, r)
	framer.SetMaxReadFrameSize(maxFrame)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		at := r.Len()
		if f, err := framer.ReadFrame(); err == io.EOF && at == 0 {
			return
		} else if err != nil {
			t.Errorf("what was said is no frame: %v %v", f, err)
			return
		}
	}
}
