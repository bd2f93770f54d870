package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/net/http2"
)

// A multiplexed connection speaks HTTP/2 as a client, in one goroutine.
type multiplexed struct {
	frames  *http2.Framer
	request []byte // the header block of every request
	answer  answer
	next    uint32 // identifier of the stream to be opened
	open    []stream
	used    uint32 // bytes of the connection's window that the server has not been given back
}

// A stream is an exchange in flight.
type stream struct {
	id    uint32
	began time.Time
	head  bool // it has come
	body  int  // bytes of it that have come
}

// No server waits for a window: a stream's holds any answer, and the connection's
// is given back when half of it is used.
const (
	streamWindow     = 4 << 20
	connectionWindow = 1 << 30
	initialWindow    = 1<<16 - 1 // of a connection (RFC 9113 section 6.9.2)
	largestFrame     = 1 << 14   // of which a server may send any number (section 4.2)
)

// multiplex begins HTTP/2 on conn (RFC 9113 section 3.4). It returns when the
// server has said that it takes as many streams as are wanted.
func multiplex(conn io.ReadWriter, s Spec) (*multiplexed, error) {
	w := &wire{conn: conn}
	w.unsent.WriteString(http2.ClientPreface)
	m := &multiplexed{
		frames:  http2.NewFramer(&w.unsent, bufio.NewReaderSize(w, 2*largestFrame)),
		request: requestBlock(s.Path), next: 1, open: make([]stream, 0, s.Streams),
	}
	m.answer.expect(s.Answer)
	m.frames.SetReuseFrames()
	m.frames.SetMaxReadFrameSize(largestFrame)
	if err := errors.Join(
		m.frames.WriteSettings(
			http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, // a block means the same whenever it comes
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow}),
		m.frames.WriteWindowUpdate(0, connectionWindow-initialWindow),
	); err != nil {
		return nil, err
	}
	f, err := m.frames.ReadFrame()
	if err != nil {
		return nil, fmt.Errorf("reading the server's settings: %w", err)
	}
	settings, is := f.(*http2.SettingsFrame)
	if !is || settings.IsAck() {
		return nil, fmt.Errorf("the server begins with %v, want its settings", f.Header())
	}
	return m, m.settings(settings)
}

// A wire sends what was written to it before it waits for the other side, so
// that all requests for which there was a reason in what was read last leave in
// one piece, and nothing is waited for that was not asked for.
type wire struct {
	conn   io.ReadWriter
	unsent bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error) {
	if w.unsent.Len() > 0 {
		if _, err := w.unsent.WriteTo(w.conn); err != nil {
			return 0, fmt.Errorf("sending requests: %w", err)
		}
	}
	return w.conn.Read(p)
}

// until keeps all streams in flight until end, and returns when the last of them
// is answered, or at the first fault. It opens each at least once.
func (m *multiplexed) until(end time.Time, t *tally) error {
	for now := time.Now(); len(m.open) < cap(m.open); {
		if err := m.ask(now); err != nil {
			return err
		}
	}
	for len(m.open) > 0 {
		f, err := m.frames.ReadFrame()
		if err != nil {
			return fmt.Errorf("reading answers, %d of which are due: %w", len(m.open), errors.Join(err, m.frames.ErrorDetail()))
		}
		ended, err := m.take(f)
		if err != nil {
			return err
		}
		if ended.id == 0 {
			continue
		}
		t.last = time.Now()
		t.latencies.record(t.last.Sub(ended.began))
		t.done++
		if t.last.Before(end) {
			if err := m.ask(t.last); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask opens a stream with a request.
func (m *multiplexed) ask(now time.Time) error {
	m.open = append(m.open, stream{id: m.next, began: now})
	m.next += 2
	return m.frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: m.open[len(m.open)-1].id, BlockFragment: m.request, EndHeaders: true, EndStream: true,
	})
}

// take does what a frame demands. It returns the stream that ended with it, which
// is not open any more and was answered as it should have been; else a zero one.
func (m *multiplexed) take(f http2.Frame) (ended stream, err error) {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.HeadersFrame:
		return ended, m.head(id, f.HeaderBlockFragment(), f.HeadersEnded(), f.StreamEnded())
	case *http2.ContinuationFrame:
		return ended, m.head(id, f.HeaderBlockFragment(), f.HeadersEnded(), false)
	case *http2.DataFrame:
		if err := m.giveBack(f.Length); err != nil {
			return ended, err
		}
		return m.body(id, len(f.Data()), f.StreamEnded())
	case *http2.SettingsFrame:
		return ended, m.settings(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return ended, errors.New("the server answers a PING that was not sent")
		}
		return ended, m.frames.WritePing(true, f.Data)
	case *http2.RSTStreamFrame:
		return ended, fmt.Errorf("the server resets stream %d: %v", id, f.ErrCode)
	case *http2.GoAwayFrame:
		return ended, fmt.Errorf("the server wants to close a connection that was to be kept: GOAWAY %v %q", f.ErrCode, f.DebugData())
	case *http2.PushPromiseFrame:
		return ended, errors.New("the server pushes, which it was told not to do")
	}
	return ended, nil // WINDOW_UPDATE is of no use to who sends no body; unknown types mean nothing
}

// find returns the index of an open stream.
func (m *multiplexed) find(id uint32) (int, error) {
	for i := range m.open {
		if m.open[i].id == id {
			return i, nil
		}
	}
	return 0, fmt.Errorf("a frame for stream %d, which is not open", id)
}

// head takes a piece of a header block.
func (m *multiplexed) head(id uint32, piece []byte, whole, last bool) error {
	i, err := m.find(id)
	if err != nil {
		return err
	}
	if last {
		return fmt.Errorf("stream %d ends without a body, want one of %d bytes", id, m.answer.length)
	}
	if m.open[i].head {
		return fmt.Errorf("stream %d has a second head", id)
	}
	m.open[i].head = whole
	return m.answer.head(piece, whole)
}

// body takes n bytes of a body.
func (m *multiplexed) body(id uint32, n int, last bool) (ended stream, err error) {
	i, err := m.find(id)
	if err != nil {
		return ended, err
	}
	s := &m.open[i]
	s.body += n
	if !s.head || s.body > m.answer.length || last && s.body < m.answer.length {
		return ended, fmt.Errorf("stream %d has %d bytes of body, its end: %t, its head: %t; want %d after a head", id, s.body, last, s.head, m.answer.length)
	}
	if last {
		ended = *s
		m.open = slices.Delete(m.open, i, i+1)
	}
	return ended, nil
}

// settings notes and acknowledges what the server wants (RFC 9113 section 6.5.3).
func (m *multiplexed) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if most, set := f.Value(http2.SettingMaxConcurrentStreams); set && most < uint32(cap(m.open)) {
		return fmt.Errorf("the server takes %d streams at a time, want %d", most, cap(m.open))
	}
	return m.frames.WriteSettingsAck()
}

// giveBack enlarges the connection's window again when half of it is used.
func (m *multiplexed) giveBack(n uint32) error {
	if m.used += n; m.used < connectionWindow/2 {
		return nil
	}
	n, m.used = m.used, 0
	return m.frames.WriteWindowUpdate(0, n)
}
