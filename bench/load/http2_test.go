package load

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/bench/credentials"
)

// blockOf renders the head of an answer, each pair a name and a value.
func blockOf(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1], Sensitive: true}) // which keeps it out of any table
	}
	return b.Bytes()
}

// A served connection is the other end of a multiplexed one.
type served struct {
	*http2.Framer
	asked []uint32 // identifiers of streams in the order in which they were opened
}

// serveHTTP2 greets the client on conn, and then has answer deal with each request.
func serveHTTP2(conn net.Conn, settings []http2.Setting, answer func(s *served, id uint32) error) error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return errors.Join(err, errors.New("no preface"))
	}
	s := &served{Framer: http2.NewFramer(conn, conn)}
	s.ReadMetaHeaders = hpack.NewDecoder(0, nil)
	if err := s.WriteSettings(settings...); err != nil {
		return err
	}
	for {
		f, err := s.ReadFrame()
		if err != nil {
			return nil // the client has seen enough
		}
		if f, is := f.(*http2.MetaHeadersFrame); is {
			s.asked = append(s.asked, f.StreamID)
			if f.PseudoValue("method") != "GET" || f.PseudoValue("path") != "/x" || f.PseudoValue("scheme") != "https" ||
				f.PseudoValue("authority") != credentials.ServerName || !f.StreamEnded() {
				return errors.New("another request: " + f.String())
			}
			if err := answer(s, f.StreamID); err != nil {
				return err
			}
		}
	}
}

// reply answers as a server should: an answer of three bytes.
func (s *served) reply(id uint32) error {
	return errors.Join(
		s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: blockOf(":status", "200", "content-length", "3"), EndHeaders: true}),
		s.WriteData(id, true, []byte("abc")))
}

func TestAnswersOverHTTP2AreChecked(t *testing.T) {
	head := func(end bool, pairs ...string) func(*served, uint32) error {
		return func(s *served, id uint32) error {
			return s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: blockOf(pairs...), EndHeaders: true, EndStream: end})
		}
	}
	data := func(end bool, text string) func(*served, uint32) error {
		return func(s *served, id uint32) error { return s.WriteData(id, end, []byte(text)) }
	}
	ok := head(false, ":status", "200")
	type steps []func(*served, uint32) error
	for name, c := range map[string]struct {
		answer   steps
		settings []http2.Setting
		want     string // of the error; "": none
	}{
		"whole":            {answer: steps{(*served).reply}},
		"without a length": {answer: steps{ok, data(true, "abc")}},
		"in pieces":        {answer: steps{ok, data(false, "a"), data(false, ""), data(false, "bc"), data(true, "")}},
		"with other frames": {answer: steps{func(s *served, id uint32) error {
			return errors.Join(s.WritePing(false, [8]byte{1}), s.WriteSettings(), s.WriteWindowUpdate(0, 10), s.WriteWindowUpdate(id, 10),
				s.WriteRawFrame(0xbe, 0, id, []byte("unknown")), s.reply(id))
		}}},
		"a head in pieces": {answer: steps{func(s *served, id uint32) error {
			block := blockOf(":status", "200", "content-length", "3")
			return errors.Join(
				s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:2]}), s.WriteContinuation(id, true, block[2:]), s.WriteData(id, true, []byte("abc")))
		}}},
		"padded": {answer: steps{ok, func(s *served, id uint32) error { return s.WriteDataPadded(id, true, []byte("abc"), make([]byte, 9)) }}},

		"refused":          {answer: steps{head(false, ":status", "502")}, want: `"502", want 200`},
		"no status":        {answer: steps{head(false, "content-length", "3")}, want: `"", want 200`},
		"another length":   {answer: steps{head(false, ":status", "200", "content-length", "4")}, want: "Content-Length 4, want 3"},
		"too much":         {answer: steps{ok, data(true, "abcd")}, want: "4 bytes of body"},
		"too much, no end": {answer: steps{ok, data(false, "abcd")}, want: "4 bytes of body"},
		"too little":       {answer: steps{ok, data(true, "ab")}, want: "2 bytes of body"},
		"no body":          {answer: steps{head(true, ":status", "200")}, want: "ends without a body"},
		"no head":          {answer: steps{data(true, "abc")}, want: "its head: false"},
		"two heads":        {answer: steps{ok, ok}, want: "second head"},
		"twice":            {answer: steps{(*served).reply, data(true, "abc")}, want: "not open"},
		"not HPACK": {answer: steps{func(s *served, id uint32) error {
			return s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
		}}, want: "the head of an answer"},
		"of a table that is not there": {answer: steps{func(s *served, id uint32) error {
			return s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88, 0x80 | 62}, EndHeaders: true})
		}}, want: "the head of an answer"},
		"reset": {answer: steps{func(s *served, id uint32) error { return s.WriteRSTStream(id, http2.ErrCodeRefusedStream) }}, want: "REFUSED_STREAM"},
		"closing": {answer: steps{func(s *served, id uint32) error {
			return s.WriteGoAway(id, http2.ErrCodeEnhanceYourCalm, []byte("slow"))
		}}, want: `ENHANCE_YOUR_CALM "slow"`},
		"pushed": {answer: steps{func(s *served, id uint32) error {
			return s.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: blockOf(":status", "200"), EndHeaders: true})
		}}, want: "pushes"},
		"pinged back": {answer: steps{func(s *served, id uint32) error { return s.WritePing(true, [8]byte{}) }}, want: "not sent"},
		"cut off":     {answer: steps{ok, func(*served, uint32) error { return io.ErrClosedPipe }}, want: "4 of which are due"},
		"few streams": {settings: []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 3}}, want: "3 streams at a time, want 4"},
		"fewer streams later": {answer: steps{func(s *served, _ uint32) error {
			return s.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		}}, want: "1 streams at a time, want 4"},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := loopback(t)
			ended := make(chan error, 1)
			go func() {
				defer server.Close()
				err := serveHTTP2(server, c.settings, func(s *served, id uint32) error {
					for _, step := range c.answer {
						if err := step(s, id); err != nil {
							return err
						}
					}
					return nil
				})
				if c.want != "" {
					err = nil // it may write to a client that is gone
				}
				ended <- err
			}()
			var count tally
			m, err := multiplex(client, Spec{Path: "/x", Answer: 3, Streams: 4})
			if err == nil {
				err = m.until(time.Now().Add(2*time.Millisecond), &count)
			}
			client.Close()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err == nil && (count.done < 4 || count.latencies.n != uint64(count.done)) {
				t.Errorf("%d done, %d latencies", count.done, count.latencies.n)
			}
			if err := <-ended; err != nil {
				t.Errorf("the server: %v", err)
			}
		})
	}
}

// loopback returns both ends of a TCP connection. (A net.Pipe has no room: two who
// write at the same time would wait for each other.)
func loopback(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// As many streams as are wanted are open before the first is answered, and no more.
func TestStreamsAreKeptInFlight(t *testing.T) {
	client, server := loopback(t)
	ended := make(chan error, 1)
	go func() {
		ended <- serveHTTP2(server, nil, func(s *served, id uint32) error {
			if len(s.asked) < 3 {
				return nil // all wait for the third
			}
			last := s.asked[len(s.asked)-1]
			if s.asked = s.asked[:len(s.asked)-1]; last != id {
				return errors.New("another stream is open")
			}
			if id > 100 {
				return server.Close()
			}
			return s.reply(id)
		})
	}()
	m, err := multiplex(client, Spec{Path: "/x", Answer: 3, Streams: 3})
	if err != nil {
		t.Fatal(err)
	}
	var count tally
	if err := m.until(time.Now().Add(time.Hour), &count); err == nil || count.done != 48 || len(m.open) != 3 {
		t.Errorf("%v after %d answers, %d streams are open: want the end after 48 answers (to streams 5 to 99), 3", err, count.done, len(m.open))
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The window of the connection is given back before it is used up.
func TestTheWindowIsGivenBack(t *testing.T) {
	var out bytes.Buffer
	m := multiplexed{frames: http2.NewFramer(&out, nil)}
	if err := m.giveBack(connectionWindow/2 - 1); err != nil || out.Len() > 0 {
		t.Errorf("%v, %d bytes written: want none as yet", err, out.Len())
	}
	if err := m.giveBack(5); err != nil || m.used != 0 {
		t.Errorf("%v, %d bytes are used", err, m.used)
	}
	f, err := http2.NewFramer(nil, &out).ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	if w, is := f.(*http2.WindowUpdateFrame); !is || w.StreamID != 0 || w.Increment != connectionWindow/2+4 {
		t.Errorf("%v", f)
	}
}

// A real server of HTTP/2 is asked, and one that has HTTP/1.1 alone is refused.
func TestHTTP2IsAgreedOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	files, err := credentials.Make(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(files.ServerCert, files.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, both := range []bool{true, false} {
		var requests atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			io.WriteString(w, r.Proto+r.URL.Path)
		}))
		config := &tls.Config{Certificates: []tls.Certificate{pair}}
		if both {
			server.EnableHTTP2, server.TLS = true, config
			server.StartTLS()
		} else { // without ALPN, which StartTLS would see to
			server.Listener = tls.NewListener(server.Listener, config)
			server.Start()
		}
		j, err := begin(Spec{
			Kind: "http2", Address: server.Listener.Addr().String(), Root: files.Root, Clients: files.Clients,
			Connections: 2, Streams: 3, Path: "/x", Answer: len("HTTP/2.0/x"), Warmup: time.Millisecond, Duration: 10 * time.Millisecond,
		})
		if !both {
			if err == nil || !strings.Contains(err.Error(), `to the protocol`) {
				t.Errorf("without HTTP/2: %v", err)
			}
			server.Close()
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		warm := requests.Load()
		r := j.do()
		if r.Errors > 0 || r.Connections != 2 || r.Operations < 6 || r.Operations != requests.Load()-warm || r.P50 <= 0 || r.Elapsed <= 0 {
			t.Errorf("%+v, %d requests after %d", r, requests.Load(), warm)
		}
		if err := j.finish(); err != nil {
			t.Error(err)
		}
		server.Close()
	}
}

// Whatever a server sends is taken or refused, and never answered with a panic
// or with streams that nobody opened.
func FuzzServerFrames(f *testing.F) {
	var good bytes.Buffer
	s := served{Framer: http2.NewFramer(&good, nil)}
	s.WriteSettings()
	for _, id := range []uint32{1, 3, 5, 7} {
		s.reply(id)
	}
	f.Add(good.Bytes())
	s.WritePing(false, [8]byte{})
	s.WriteGoAway(7, http2.ErrCodeNo, nil)
	f.Add(good.Bytes())
	f.Fuzz(func(t *testing.T, sent []byte) {
		m, err := multiplex(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(sent), io.Discard}, Spec{Path: "/x", Answer: 3, Streams: 4})
		if err != nil {
			return
		}
		var count tally
		err = m.until(time.Now().Add(time.Hour), &count)
		if err == nil {
			t.Error("the end of what was sent is no error")
		}
		if opened := int64(m.next-1) / 2; count.done > opened || len(m.open) > 4 {
			t.Errorf("%d answers, %d streams opened, %d open", count.done, opened, len(m.open))
		}
	})
}
