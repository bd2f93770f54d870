package http_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A peer speaks HTTP/2 frame by frame, on either side.
type peer struct {
	net.Conn
	frames *h2.Framer
	// held: DATA is not granted anew.
	held bool
	// Connect is what the other side's SETTINGS_ENABLE_CONNECT_PROTOCOL says.
	connect bool
	ended   int // messages that goodbye has seen the end of

	mu    sync.Mutex // of writes
	block bytes.Buffer
	enc   *hpack.Encoder
}

// A frame is what came, with a field section decoded.
type frame struct {
	kind   h2.FrameType
	id     uint32
	fields []hpack.HeaderField
	data   string
	end    bool
	code   h2.ErrCode
	last   uint32 // of GOAWAY
	body   string // of the whole message; see heads2
}

// get returns the value of a field that is there once, else what is wrong.
func (f frame) get(name string) string {
	var values []string
	for _, fl := range f.fields {
		if fl.Name == name {
			values = append(values, fl.Value)
		}
	}
	if len(values) != 1 {
		return fmt.Sprintf("%d times %s: %q", len(values), name, values)
	}
	return values[0]
}

// has reports whether a field is there in whatever spelling.
func (f frame) has(name string) bool {
	for _, fl := range f.fields {
		if strings.EqualFold(fl.Name, name) {
			return true
		}
	}
	return false
}

func (f frame) String() string {
	return fmt.Sprintf("%v %d end=%t %v %.60q fields=%v", f.kind, f.id, f.end, f.code, f.data, f.fields)
}

// newPeer says hello on conn.
func newPeer(conn net.Conn, client bool, settings ...h2.Setting) (*peer, error) {
	p := &peer{Conn: conn, frames: h2.NewFramer(conn, conn)}
	p.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.frames.SetMaxReadFrameSize(1 << 20)
	p.enc = hpack.NewEncoder(&p.block)
	if client {
		if _, err := io.WriteString(conn, h2.ClientPreface); err != nil {
			return nil, err
		}
	} else if _, err := io.ReadFull(conn, make([]byte, len(h2.ClientPreface))); err != nil {
		return nil, err
	}
	return p, p.frames.WriteSettings(settings...)
}

// head sends HEADERS with these fields: names and values in turns.
func (p *peer) head(id uint32, end bool, fields ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	const most = 1 << 14 // octets a frame
	block := p.block.Bytes()
	first := block[:min(len(block), most)]
	block = block[len(first):]
	err := p.frames.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		n := min(len(block), most)
		err = p.frames.WriteContinuation(id, n == len(block), block[:n])
		block = block[n:]
	}
	return err
}

// data sends DATA.
func (p *peer) data(id uint32, end bool, data string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frames.WriteData(id, end, []byte(data))
}

// reset sends RST_STREAM.
func (p *peer) reset(id uint32, code h2.ErrCode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frames.WriteRSTStream(id, code)
}

// goAway sends GOAWAY.
func (p *peer) goAway(last uint32, code h2.ErrCode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frames.WriteGoAway(last, code, nil)
}

// next returns the next frame that says something about a message: what the
// protocol wants answered is answered, DATA is granted anew.
func (p *peer) next() (frame, error) {
	for {
		fr, err := p.frames.ReadFrame()
		if err != nil {
			return frame{}, err
		}
		f := frame{kind: fr.Header().Type, id: fr.Header().StreamID}
		switch fr := fr.(type) {
		case *h2.SettingsFrame:
			if fr.IsAck() {
				continue
			}
			if v, has := fr.Value(h2.SettingEnableConnectProtocol); has {
				p.connect = v == 1
			}
			p.mu.Lock()
			p.frames.WriteSettingsAck()
			p.mu.Unlock()
			continue
		case *h2.PingFrame:
			if !fr.IsAck() {
				p.mu.Lock()
				p.frames.WritePing(true, fr.Data)
				p.mu.Unlock()
			}
			continue
		case *h2.WindowUpdateFrame:
			continue
		case *h2.MetaHeadersFrame:
			f.fields, f.end = fr.Fields, fr.StreamEnded()
		case *h2.DataFrame:
			f.data, f.end = string(fr.Data()), fr.StreamEnded()
			if n := fr.Header().Length; n > 0 && !p.held {
				p.grant(f.id, n)
			}
		case *h2.RSTStreamFrame:
			f.code = fr.ErrCode
		case *h2.GoAwayFrame:
			f.code, f.last = fr.ErrCode, fr.LastStreamID
		}
		return f, nil
	}
}

// grant lets the other side send n octets more.
func (p *peer) grant(id, n uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames.WriteWindowUpdate(0, n)
	p.frames.WriteWindowUpdate(id, n)
}

// message reads frames of stream id up to the end of the stream, and joins
// them. A reset is an error.
func (p *peer) message(id uint32) (heads []frame, body string, err error) {
	for {
		f, err := p.next()
		switch {
		case err != nil:
			return heads, body, err
		case f.kind == h2.FrameRSTStream && f.id == id:
			return heads, body, h2.StreamError{StreamID: id, Code: f.code}
		case f.kind == h2.FrameGoAway || f.id != id:
			continue
		case f.kind == h2.FrameHeaders:
			heads = append(heads, f)
		case f.kind == h2.FrameData:
			body += f.data
		}
		if f.end {
			return heads, body, nil
		}
	}
}

// await reads up to a frame of that kind and returns it.
func (p *peer) await(t testing.TB, kind h2.FrameType) frame {
	t.Helper()
	for {
		f, err := p.next()
		if err != nil {
			t.Fatalf("waiting for %v: %v", kind, err)
		}
		if f.kind == kind {
			return f
		}
	}
}

// dial2 connects to a bench as a client that speaks HTTP/2.
func (b *bench) dial2(settings ...h2.Setting) *peer {
	b.t.Helper()
	conn := b.dial().Conn
	p, err := newPeer(conn, true, settings...)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// get2 are the pseudo-fields of a GET.
var get2 = []string{":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/"}

// post2 are those of a POST.
var post2 = []string{":method", "POST", ":scheme", "https", ":authority", "h", ":path", "/"}

// target2 is a target that speaks HTTP/2, each connection with handle. The
// connection ends with it.
func target2(t testing.TB, handle func(*peer), settings ...h2.Setting) string {
	return target(t, func(conn net.Conn) {
		conn.SetDeadline(time.Now().Add(patience))
		if p, err := newPeer(conn, false, settings...); err == nil {
			handle(p)
		}
	})
}
