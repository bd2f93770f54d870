package http2

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"countersign.dev/internal/wire/http1"
)

// TestFloodsAreCut has a client do something cheap again and again, until it is
// cut; each within a number of frames that honest clients do not reach.
func TestFloodsAreCut(t *testing.T) {
	for _, tt := range []struct {
		name, cve string
		do        func(r *raw, i uint32) error
	}{
		{"requests that are taken back", "CVE-2023-44487", func(r *raw, i uint32) error {
			r.headers(2*i+1, true, head("GET")...)
			return r.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}},
		{"requests with content that are taken back", "CVE-2023-44487", func(r *raw, i uint32) error {
			r.headers(2*i+1, false, head("POST")...)
			r.WriteData(2*i+1, false, make([]byte, 300))
			return r.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}},
		{"requests that are one too many", "CVE-2023-44487", func(r *raw, i uint32) error {
			r.headers(2*i+1, false, head("POST")...)
			return nil
		}},
		{"requests whose content is too long", "CVE-2025-8671", func(r *raw, i uint32) error {
			r.headers(2*i+1, false, head("POST", "content-length", "0")...)
			return r.WriteData(2*i+1, false, []byte("x"))
		}},
		{"windows that are opened by nothing", "CVE-2025-8671", func(r *raw, i uint32) error {
			r.headers(2*i+1, false, head("POST")...)
			return r.WriteWindowUpdate(2*i+1, 0)
		}},
		{"PING", "CVE-2019-9512", func(r *raw, i uint32) error { return r.WritePing(false, [8]byte{}) }},
		{"PING answers", "", func(r *raw, i uint32) error { return r.WritePing(true, [8]byte{}) }},
		{"PRIORITY", "CVE-2019-9513", func(r *raw, i uint32) error {
			return r.WritePriority(2*i+1, http2.PriorityParam{StreamDep: 2*i + 3})
		}},
		{"SETTINGS", "CVE-2019-9515", func(r *raw, i uint32) error { return r.WriteSettings() }},
		{"SETTINGS answers", "CVE-2019-9515", func(r *raw, i uint32) error { return r.WriteSettingsAck() }},
		{"long SETTINGS", "CVE-2019-9515", func(r *raw, i uint32) error {
			return r.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 16<<10/6*6))
		}},
		{"empty DATA", "CVE-2019-9518", func(r *raw, i uint32) error {
			if i == 0 {
				r.headers(1, false, head("POST")...)
			}
			return r.WriteData(1, false, nil)
		}},
		{"padded empty DATA", "CVE-2019-9518", func(r *raw, i uint32) error {
			if i == 0 {
				r.headers(1, false, head("POST")...)
			}
			return r.WriteDataPadded(1, false, nil, make([]byte, 10))
		}},
		{"WINDOW_UPDATE", "", func(r *raw, i uint32) error { return r.WriteWindowUpdate(0, 1) }},
		{"RST_STREAM of a closed stream", "", func(r *raw, i uint32) error {
			if i == 0 {
				r.headers(1, true, head("GET")...)
			}
			return r.WriteRSTStream(1, http2.ErrCodeCancel)
		}},
		{"HEADERS of a stream that was reset", "", func(r *raw, i uint32) error {
			if i == 0 {
				r.headers(1, false, head("POST", "content-length", "0")...)
				r.WriteData(1, false, []byte("x"))
			}
			return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true})
		}},
		{"frames of unknown types", "", func(r *raw, i uint32) error { return r.WriteRawFrame(0x77, 0, 0, nil) }},
		{"GOAWAY", "", func(r *raw, i uint32) error {
			if i == 0 {
				r.headers(1, false, head("POST")...)
			}
			return r.WriteGoAway(0, 0, nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, server := rawClient(t, Config{Streams: 10}, func(s *Stream) { readAll(s) })
			reading := make(chan struct{})
			go func() { defer close(reading); io.Copy(io.Discard, r.rw) }()
			const most = 20000
			for i := range uint32(most) {
				if tt.do(r, i) != nil {
					break
				}
			}
			<-reading
			server.mu.Lock()
			err, ok := errors.AsType[*ConnError](server.broken)
			server.mu.Unlock()
			if !ok || err.Code != http2.ErrCodeEnhanceYourCalm || err.Remote {
				t.Errorf("the connection ended with %v", server.broken)
			}
		})
	}
}

func TestFieldSectionsThatGoOnAreCut(t *testing.T) {
	// CVE-2024-27316.
	for _, tt := range []struct {
		name  string
		piece []byte
	}{
		{"empty", nil}, {"small", []byte("\x00\x01a\x01b")}, {"large", []byte(strings.Repeat("\x00\x01a\x01b", 3000))},
	} {
		r, server := rawClient(t, Config{}, answer)
		r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.section(head("GET")...)})
		frames := 0
		for r.WriteContinuation(1, false, tt.piece) == nil && frames < 100000 {
			frames++
		}
		err, ok := errors.AsType[*ConnError](server.result(t))
		if !ok || err.Code != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("%s: Serve returned %v after %d frames", tt.name, server.err, frames)
		}
	}
}

func TestAFewOctetsDoNotBecomeMany(t *testing.T) {
	// An HPACK bomb: a field of 4,000 octets in the table, named 16,000 times.
	got := make(chan *http1.Error, 2)
	fields := make(chan int, 2)
	r, _ := rawClient(t, Config{}, func(s *Stream) {
		fields <- len(s.Request.Fields)
		got <- s.Fault
		answer(s)
	})
	r.headers(1, true, head("GET", "x", strings.Repeat("v", 3900))...)
	if e := <-got; e != nil || <-fields != 1 {
		t.Fatal(e)
	}
	block := append(r.section(head("GET")...), []byte(strings.Repeat("\xbe", 16000))...)
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndStream: true, EndHeaders: true, BlockFragment: block})
	if e := <-got; e == nil || e.Status != 431 {
		t.Fatalf("%v, expected 431", e)
	}
	if n := <-fields; n > 20 {
		t.Errorf("%d fields were kept", n)
	}
	// The table is as it was.
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, EndStream: true, EndHeaders: true,
		BlockFragment: append(r.section(head("GET")...), 0xbe)})
	if e := <-got; e != nil || <-fields != 1 {
		t.Errorf("the table was lost: %v", e)
	}
}

func TestAFieldLongerThanAHeadIsCut(t *testing.T) {
	r, server := rawClient(t, Config{Limits: http1.Limits{Head: 8 << 10}}, answer)
	r.headers(1, true, head("GET", "x", strings.Repeat("v", 15<<10))...)
	err, ok := errors.AsType[*ConnError](server.result(t))
	if !ok || err.Code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("Serve returned %v", server.err)
	}
}

func TestAClientThatAsksAndDoesNotReadIsCut(t *testing.T) {
	// The answers are bounded, though nothing can be written.
	for _, tt := range []struct {
		cve, name string
		do        func(f *http2.Framer, i uint32) error
	}{
		{"CVE-2019-9512", "PING", func(f *http2.Framer, _ uint32) error { return f.WritePing(false, [8]byte{}) }},
		{"CVE-2019-9514", "requests that are none", func(f *http2.Framer, i uint32) error {
			const method = "\x82" // and nothing else
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, EndStream: true, EndHeaders: true, BlockFragment: []byte(method)})
		}},
	} {
		a, b := net.Pipe()
		defer a.Close()
		server := serve(b, Config{Streams: 1 << 30}, answer)
		defer server.stop()
		io.WriteString(a, preface)
		framer := http2.NewFramer(a, nil)
		framer.WriteSettings()
		for i := range uint32(100_000) {
			if tt.do(framer, i) != nil {
				break
			}
		}
		a.Close()
		err, ok := errors.AsType[*ConnError](server.result(t))
		if !ok || err.Code != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("%s: Serve returned %v", tt.name, server.err)
		}
	}
}

func TestHonestClientsLive(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(r *raw, i uint32)
	}{
		{"half of all calls are canceled", func(r *raw, i uint32) {
			r.headers(4*i+1, true, head("POST")...)
			r.headers(4*i+3, false, head("POST")...)
			r.WriteRSTStream(4*i+3, http2.ErrCodeCancel)
			r.expect(fmt.Sprintf("DATA %d 15 end=true", 4*i+1))
		}},
		{"calls are canceled once they were answered", func(r *raw, i uint32) {
			r.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, EndHeaders: true,
				BlockFragment: r.section(":method", "POST", ":scheme", "http", ":authority", "test.example", ":path", "/echo")})
			r.expect(fmt.Sprintf("HEADERS %d end=false", 2*i+1))
			r.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}},
		{"a PING for each exchange", func(r *raw, i uint32) {
			r.headers(2*i+1, true, head("POST")...)
			r.WritePing(false, [8]byte{'x'})
			r.expect("PING ack=true x")
		}},
		{"two WINDOW_UPDATEs for each DATA frame", func(r *raw, i uint32) {
			if i == 0 {
				r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true,
					BlockFragment: r.section(":method", "GET", ":scheme", "http", ":authority", "test.example", ":path", "/size/40000000")})
			}
			f, ok := r.next(false).(*http2.DataFrame)
			if !ok {
				f = r.next(false).(*http2.DataFrame)
			}
			r.WriteWindowUpdate(0, f.Length)
			r.WriteWindowUpdate(1, f.Length)
		}},
		{"PING and two WINDOW_UPDATEs for each small DATA frame", func(r *raw, i uint32) {
			if i == 0 {
				r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true,
					BlockFragment: r.section(":method", "POST", ":scheme", "http", ":authority", "test.example", ":path", "/echo")})
			}
			r.WriteData(1, false, []byte("x"))
			r.expect("DATA 1 1 end=false")
			r.WritePing(false, [8]byte{'x'})
			r.WriteWindowUpdate(0, 1)
			r.WriteWindowUpdate(1, 1)
			r.expect("PING ack=true x")
		}},
		{"PRIORITY and SETTINGS now and then", func(r *raw, i uint32) {
			r.WritePriority(2*i+1, http2.PriorityParam{})
			r.WriteSettings()
			r.headers(2*i+1, true, head("GET")...)
			r.expect(fmt.Sprintf("DATA %d 15 end=true", 2*i+1))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, server := rawClient(t, Config{}, answer)
			for i := range uint32(2100) {
				tt.do(r, i)
			}
			if n := server.OpenStreams(); n > 128 {
				t.Errorf("%d streams are open", n)
			}
		})
	}
}

// A frame that is small because the window is earns nothing, or a client could have
// all it asked for octet by octet (CVE-2019-9511).
func TestADribbleIsCut(t *testing.T) {
	r, server := rawClient(t, Config{}, answer)
	r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true,
		BlockFragment: r.section(":method", "GET", ":scheme", "http", ":authority", "test.example", ":path", "/size/1000000")})
	for range 10 * idleBudget {
		r.WriteWindowUpdate(1, 1)
		if f, err := r.ReadFrame(); err != nil || f.Header().Type == http2.FrameGoAway {
			break
		}
	}
	r.rw.Close()
	if err, ok := errors.AsType[*ConnError](server.result(t)); !ok || err.Code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("Serve returned %v", server.err)
	}
}

func TestABudgetFillsUpWithTime(t *testing.T) {
	c := New(nil, Config{})
	c.now = time.Unix(1000, 0)
	c.idle.since, c.resets.since = c.now, c.now
	spend := func(b *budget) (n int) {
		for c.charge(b, 1) == nil {
			n++
		}
		b.left++ // what could not be paid
		return n
	}
	if n := spend(&c.idle); n != idleBudget {
		t.Errorf("%d at first, expected %d", n, idleBudget)
	}
	c.now = c.now.Add(time.Second)
	if n := spend(&c.idle); n != idleRate {
		t.Errorf("%d after a second, expected %d", n, idleRate)
	}
	c.now = c.now.Add(time.Hour)
	if n := spend(&c.idle); n != idleBudget {
		t.Errorf("%d after an hour, expected %d", n, idleBudget)
	}
	c.completed, c.flowed, c.framed = 10, 10*perOctets+1, 5
	if n := spend(&c.idle); n != 10*perExchange+10+5*perFrame {
		t.Errorf("%d after 10 exchanges, expected %d", n, 10*perExchange+10+5*perFrame)
	}
	c.framed, c.flowed = 1000, 1000*perOctets
	if n := spend(&c.resets); n != resetBudget {
		t.Errorf("%d requests may be taken back, whatever was carried, expected %d", n, resetBudget)
	}
}
