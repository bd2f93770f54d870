package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/wire/http1"
)

// A raw is a peer that sends what a test wants, rules or no rules.
type raw struct {
	*http2.Framer
	t   testing.TB
	rw  net.Conn
	enc *hpack.Encoder
	buf bytes.Buffer
	dec *hpack.Decoder
}

func newRaw(t testing.TB, rw net.Conn) *raw {
	r := &raw{Framer: http2.NewFramer(rw, rw), t: t, rw: rw, dec: hpack.NewDecoder(4096, nil)}
	r.AllowIllegalWrites = true
	r.enc = hpack.NewEncoder(&r.buf)
	rw.SetDeadline(time.Now().Add(patience))
	return r
}

// rawClient is connected to a server of ours.
func rawClient(t testing.TB, config Config, handle func(*Stream)) (*raw, *party) {
	a, b := sockets(t)
	server := serve(b, config, handle)
	t.Cleanup(server.stop)
	r := newRaw(t, a)
	io.WriteString(a, preface)
	r.WriteSettings()
	return r, server
}

// rawServer is connected to a client of ours.
func rawServer(t testing.TB, config Config, settings ...http2.Setting) (*raw, *party) {
	a, b := sockets(t)
	config.Client = true
	client := serve(b, config, nil)
	t.Cleanup(client.stop)
	r := newRaw(t, a)
	if _, err := io.ReadFull(a, make([]byte, len(preface))); err != nil {
		t.Fatal(err)
	}
	r.WriteSettings(settings...)
	return r, client
}

// section encodes pairs of names and values.
func (r *raw) section(fields ...string) []byte {
	r.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		r.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(r.buf.Bytes())
}

// headers sends a whole field section.
func (r *raw) headers(id uint32, end bool, fields ...string) {
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: end, EndHeaders: true, BlockFragment: r.section(fields...)})
}

// head is the pseudo-fields of a request, and what is behind them.
func head(method string, fields ...string) []string {
	return append([]string{":method", method, ":scheme", "http", ":authority", "test.example", ":path", "/"}, fields...)
}

// next returns the next frame that is none of those that come when they like:
// SETTINGS, and WINDOW_UPDATE unless it is asked for.
func (r *raw) next(windowUpdates bool) http2.Frame {
	r.t.Helper()
	for {
		f, err := r.ReadFrame()
		if err != nil {
			r.t.Fatalf("no further frame came: %v", err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				r.WriteSettingsAck()
			}
			continue
		case *http2.WindowUpdateFrame:
			if !windowUpdates {
				continue
			}
		}
		return f
	}
}

// outcome reads until the peer says what it makes of what it got, and returns
// that: a RST_STREAM or GOAWAY with its code, the end of a response, or the end of
// the connection. Behind it comes a PING that is answered if nothing else
// happens.
func (r *raw) outcome() string {
	r.t.Helper()
	r.WritePing(false, [8]byte{'?'})
	for {
		f, err := r.ReadFrame()
		switch f := f.(type) {
		case nil:
			return "end of the connection: " + fmt.Sprint(errors.Is(err, io.EOF))
		case *http2.RSTStreamFrame:
			return "RST_STREAM " + f.ErrCode.String()
		case *http2.GoAwayFrame:
			return "GOAWAY " + f.ErrCode.String()
		case *http2.PingFrame:
			if f.IsAck() && f.Data[0] == '?' {
				return "nothing"
			}
		}
	}
}

// expect reads frames until one is as wanted, in the form of show.
func (r *raw) expect(want string) http2.Frame {
	r.t.Helper()
	for {
		f := r.next(strings.HasPrefix(want, "WINDOW_UPDATE"))
		if got := show(f); got == want {
			return f
		} else if strings.HasPrefix(got, "GOAWAY") || strings.HasPrefix(got, "RST_STREAM") {
			r.t.Fatalf("%s came, expected %s", got, want)
		}
	}
}

func show(f http2.Frame) string {
	h := f.Header()
	switch f := f.(type) {
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %s", h.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %s", f.LastStreamID, f.ErrCode)
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", h.StreamID, f.Increment)
	case *http2.PingFrame:
		return fmt.Sprintf("PING ack=%v %s", f.IsAck(), bytes.TrimRight(f.Data[:], "\x00"))
	case *http2.DataFrame:
		return fmt.Sprintf("DATA %d %d end=%v", h.StreamID, h.Length, f.StreamEnded())
	case *http2.HeadersFrame:
		return fmt.Sprintf("HEADERS %d end=%v", h.StreamID, f.StreamEnded())
	}
	return fmt.Sprintf("%s %d", h.Type, h.StreamID)
}

// limitsOf allows heads of n octets, and fields as long.
func limitsOf(n int) http1.Limits { return http1.Limits{Line: n, Field: n, Head: n} }
