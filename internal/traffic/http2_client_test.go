package traffic_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	nethttp "net/http"
	"strconv"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/testpki"
)

// A client2 is one connection of a client that speaks HTTP/2, frame by frame.
type client2 struct {
	t      testing.TB
	conn   net.Conn
	frames *h2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
	host   string
	next   uint32 // stream
	away   *h2.GoAwayFrame
	got    map[uint32]*reply2
}

// A reply2 is what has come of an answer.
type reply2 struct {
	status int
	header nethttp.Header
	body   string
	ended  bool
	reset  bool
	code   h2.ErrCode
}

// dial2 is dial for HTTP/2.
func (r *rig) dial2(cert *testpki.Certificate, change ...func(*tls.Config)) *client2 {
	r.t.Helper()
	c := r.dial(cert, append(change, func(cfg *tls.Config) { cfg.NextProtos = []string{"h2", "http/1.1"} })...)
	if p := c.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; p != "h2" {
		r.t.Fatalf("the gateway chose %q", p)
	}
	if _, err := io.WriteString(c.conn, h2.ClientPreface); err != nil {
		r.t.Fatal(err)
	}
	p := &client2{t: r.t, conn: c.conn, frames: h2.NewFramer(c.conn, c.conn), host: c.host, next: 1, got: map[uint32]*reply2{}}
	p.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.enc = hpack.NewEncoder(&p.block)
	if err := p.frames.WriteSettings(); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// send sends a GET with further fields, names and values in turns, and returns
// its stream.
func (c *client2) send(fields ...string) (id uint32) {
	c.t.Helper()
	return c.head(append([]string{":method", "GET", ":scheme", "https", ":authority", c.host, ":path", "/"}, fields...)...)
}

// head sends a request without content.
func (c *client2) head(fields ...string) (id uint32) {
	c.t.Helper()
	id = c.next
	c.next += 2
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := c.frames.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		c.t.Fatal(err)
	}
	return id
}

// read takes one frame.
func (c *client2) read() error {
	fr, err := c.frames.ReadFrame()
	if err != nil {
		return err
	}
	id := fr.Header().StreamID
	p := c.got[id]
	if p == nil {
		p = &reply2{header: nethttp.Header{}}
		c.got[id] = p
	}
	switch fr := fr.(type) {
	case *h2.SettingsFrame:
		if !fr.IsAck() {
			return c.frames.WriteSettingsAck()
		}
	case *h2.PingFrame:
		if !fr.IsAck() {
			return c.frames.WritePing(true, fr.Data)
		}
	case *h2.MetaHeadersFrame:
		p.status, _ = strconv.Atoi(fr.PseudoValue("status"))
		for _, fl := range fr.RegularFields() {
			p.header.Add(fl.Name, fl.Value)
		}
		p.ended = fr.StreamEnded()
	case *h2.DataFrame:
		p.body += string(fr.Data())
		p.ended = fr.StreamEnded()
	case *h2.RSTStreamFrame:
		p.reset, p.code = true, fr.ErrCode
	case *h2.GoAwayFrame:
		c.away = fr
	}
	return nil
}

// reply reads the answer on a stream, whatever else comes.
func (c *client2) reply(id uint32) *reply2 {
	c.t.Helper()
	for {
		if p := c.got[id]; p != nil && (p.ended || p.reset) {
			return p
		}
		if err := c.read(); err != nil {
			c.t.Fatalf("no answer on stream %d: %v", id, err)
		}
	}
}

// get is send and reply.
func (c *client2) get(fields ...string) *reply2 {
	c.t.Helper()
	return c.reply(c.send(fields...))
}

// goesAway waits for GOAWAY.
func (c *client2) goesAway() {
	c.t.Helper()
	for c.away == nil {
		if err := c.read(); err != nil {
			c.t.Fatalf("no GOAWAY: %v", err)
		}
	}
	if c.away.ErrCode != h2.ErrCodeNo {
		c.t.Errorf("GOAWAY with %v", c.away.ErrCode)
	}
}

// ended waits for the end of the connection, and closes it on this side, too.
func (c *client2) ended() {
	c.t.Helper()
	defer c.conn.Close()
	for {
		if err := c.read(); err != nil {
			if ne, is := err.(net.Error); is && ne.Timeout() {
				c.t.Error("the connection does not end")
			}
			return
		}
	}
}

// served is reply.served.
func (p *reply2) served(t testing.TB) nethttp.Header {
	t.Helper()
	h := nethttp.Header{}
	if err := json.Unmarshal([]byte(p.body), &h); p.status != 200 || !p.ended || err != nil {
		t.Fatalf("got %+v, want the backend's answer", p)
	}
	return h
}

// refused is reply.refused.
func (p *reply2) refused(t testing.TB, status int, code string) {
	t.Helper()
	var problem struct {
		Status int
		Code   string
	}
	err := json.Unmarshal([]byte(p.body), &problem)
	if err != nil || p.header.Get("Content-Type") != "application/problem+json" || p.status != status || problem.Status != status || problem.Code != code {
		t.Errorf("got %+v, want a problem document with %d %s", p, status, code)
	}
}
