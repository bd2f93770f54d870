package http2

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestWhatIsNotReadStopsAtTheWindows(t *testing.T) {
	// RFC 9113 section 6.9.1.
	for _, tt := range []struct {
		name    string
		config  Config
		streams uint32 // that send
		fits    int    // frames of 16 KiB, of the last stream
		want    string
	}{
		{"of the stream", Config{Window: 128 << 10}, 1, 8, "RST_STREAM 1 FLOW_CONTROL_ERROR"},
		{"of the connection", Config{Window: 128 << 10, ConnWindow: 256 << 10}, 3, 0, "GOAWAY 5 FLOW_CONTROL_ERROR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			r, _ := rawClient(t, tt.config, func(*Stream) { <-release })
			for id := uint32(1); id <= 2*tt.streams-1; id += 2 {
				r.headers(id, false, head("POST")...)
			}
			for id := uint32(1); id < 2*tt.streams-1; id += 2 {
				for range 8 {
					r.WriteData(id, false, make([]byte, 16<<10))
				}
			}
			for range tt.fits {
				r.WriteData(2*tt.streams-1, false, make([]byte, 16<<10))
			}
			r.WritePing(false, [8]byte{'x'})
			r.expect("PING ack=true x")
			r.WriteData(2*tt.streams-1, false, []byte("x"))
			if f := r.next(true); show(f) != tt.want {
				t.Errorf("%s, expected %s", show(f), tt.want)
			}
		})
	}
}

func TestTheWindowsOpenAsTheOwnerReads(t *testing.T) {
	read := make(chan int)
	r, _ := rawClient(t, Config{Window: 128 << 10, ConnWindow: 256 << 10}, func(s *Stream) {
		for n := range read {
			if _, err := io.ReadFull(reader{s}, make([]byte, n)); err != nil {
				t.Error(err)
			}
		}
	})
	defer close(read)
	r.headers(1, false, head("POST")...)
	r.expect("WINDOW_UPDATE 0 196609") // from 64 KiB - 1 to what was configured
	for range 8 {
		r.WriteData(1, false, make([]byte, 16<<10))
	}
	read <- 64<<10 - 1
	read <- 1 // half a window
	r.expect("WINDOW_UPDATE 1 65536")
	read <- 64 << 10
	if f := r.next(true); show(f) != "WINDOW_UPDATE 0 131072" {
		t.Errorf("%s, expected half of the connection's window", show(f))
	}
	r.expect("WINDOW_UPDATE 1 65536")
}

type reader struct{ *Stream }

func (r reader) Read(p []byte) (int, error) { return r.Stream.Read(p, patience) }

func TestPaddingCountsForFlowControlAndIsGivenBack(t *testing.T) {
	r, _ := rawClient(t, Config{Window: 1 << 16, ConnWindow: 1 << 16}, func(s *Stream) {
		b, err := readAll(s)
		if err != nil || len(b) != 2000 {
			t.Errorf("%d octets, %v", len(b), err)
		}
		s.WriteHead(response(200), End)
	})
	r.headers(1, false, head("POST")...)
	for sent, left := 0, 1<<16; sent < 2000; sent++ { // 510,000 octets with their padding, many windows
		for left < 256 {
			if f, ok := r.next(true).(*http2.WindowUpdateFrame); !ok {
				t.Fatal("no WINDOW_UPDATE came")
			} else if f.StreamID == 1 {
				left += int(f.Increment)
			}
		}
		r.WriteDataPadded(1, false, []byte("x"), make([]byte, 254))
		left -= 256
	}
	r.WriteData(1, true, nil)
	r.expect("HEADERS 1 end=true")
}

func TestContentNobodyReadsDoesNotStopOthers(t *testing.T) {
	// Three of four windows' worth of the connection are held by streams that are
	// not read; the rest has to be enough for one that is.
	release := make(chan struct{})
	c, _ := pair(t, Config{Window: 64 << 10, ConnWindow: 256 << 10}, func(s *Stream) {
		if string(s.Request.Path) == "/held" {
			<-release
			return
		}
		echo(s)
	})
	defer close(release)
	for range 3 {
		s := begin(t, c, request("POST", "/held"), 0)
		defer s.Close()
		if err := s.Write(make([]byte, 1<<16-1), 0, patience); err != nil {
			t.Fatal(err)
		}
	}
	s := begin(t, c, request("POST", "/echo"), 0)
	defer s.Close()
	body := make([]byte, 1<<20)
	writing := make(chan error, 1)
	go func() { writing <- s.Write(body, End, patience) }()
	if err := s.ReadHead(patience); err != nil {
		t.Fatal(err)
	}
	if b, err := readAll(s); err != nil || len(b) != len(body) {
		t.Errorf("%d octets came back, %v", len(b), err)
	}
	if err := <-writing; err != nil {
		t.Error(err)
	}
}

func TestContentOfStreamsThatAreGoneIsGivenBackToTheConnection(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handle func(*Stream)
	}{
		{"reset", func(s *Stream) { s.Reset(http2.ErrCodeCancel) }},
		{"closed", func(s *Stream) {}},
		{"interrupted", func(s *Stream) { s.Interrupt() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := pair(t, Config{Window: 128 << 10, ConnWindow: 128 << 10}, func(s *Stream) {
				if string(s.Request.Path) == "/echo" {
					echo(s)
					return
				}
				tt.handle(s)
			})
			for range 20 {
				s := begin(t, c, request("POST", "/"), 0)
				s.Write(make([]byte, 60<<10), 0, 100*time.Millisecond)
				s.Close()
			}
			s := begin(t, c, request("POST", "/echo"), 0)
			defer s.Close()
			if err := s.Write(make([]byte, 100<<10), End, patience); err != nil {
				t.Fatal(err)
			}
			if err := s.ReadHead(patience); err != nil {
				t.Fatal(err)
			}
			if b, err := readAll(s); err != nil || len(b) != 100<<10 {
				t.Errorf("%d octets came back, %v", len(b), err)
			}
		})
	}
}

func TestSETTINGSChangeTheWindowsOfOpenStreams(t *testing.T) {
	// RFC 9113 section 6.9.2: a window may even become negative.
	r, c := rawServer(t, Config{}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	<-c.Settled()
	s := begin(t, c, request("POST", "/"), 0)
	defer s.Close()
	wrote := make(chan error, 1)
	go func() { wrote <- s.Write(make([]byte, 30), End, patience) }()
	r.expect("DATA 1 10 end=false")
	r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4}) // -6 are left
	r.WriteWindowUpdate(1, 6)                                                  // 0
	r.WritePing(false, [8]byte{'x'})
	if f := r.next(false); show(f) != "PING ack=true x" {
		t.Fatalf("%s, though the window is shut", show(f))
	}
	r.WriteWindowUpdate(1, 5)
	r.expect("DATA 1 5 end=false")
	r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	r.expect("DATA 1 15 end=true")
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

func TestAWriteWaitsForTheWindowAsLongAsItsPatience(t *testing.T) {
	r, c := rawServer(t, Config{}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	<-c.Settled()
	s := begin(t, c, request("POST", "/"), 0)
	defer s.Close()
	if err := s.Write([]byte("x"), 0, 10*time.Millisecond); !isTimeout(err) {
		t.Fatal(err)
	}
	r.WriteWindowUpdate(1, 1)
	if err := s.Write([]byte("x"), End, patience); err != nil {
		t.Error(err)
	}
	r.expect("DATA 1 1 end=true")
	if err := s.Write([]byte("x"), 0, patience); err != ErrEnded {
		t.Errorf("%v behind the end", err)
	}
}

func TestStreamsShareTheConnectionsWindow(t *testing.T) {
	// All wait for the connection's window, which opens little by little.
	r, c := rawServer(t, Config{}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	<-c.Settled()
	const streams, each = 8, 64 << 10
	wrote := make(chan error, streams)
	var all []*Stream
	for range streams {
		s := begin(t, c, request("POST", "/"), 0)
		all = append(all, s)
		go func() { wrote <- s.Write(make([]byte, each), End, patience) }()
	}
	ended, got := 0, 0
	for ended < streams {
		if f, ok := r.next(false).(*http2.DataFrame); ok {
			if got += int(f.Length); f.StreamEnded() {
				ended++
			}
			if f.Length > 0 {
				r.WriteWindowUpdate(0, f.Length)
			}
		}
	}
	if got != streams*each {
		t.Errorf("%d octets, expected %d", got, streams*each)
	}
	for range streams {
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	}
	for _, s := range all {
		s.Close()
	}
}

func TestTwoThatOnlyWriteDoNotWaitForEachOther(t *testing.T) {
	// A net.Pipe has no buffer: a side that wrote before it reads would stand
	// still at once.
	a, b := net.Pipe()
	body := bytes.Repeat([]byte("0123456789abcdef"), 32<<10)
	server := serve(b, Config{}, echo)
	client := serve(a, Config{Client: true}, nil)
	defer func() { client.stop(); server.stop() }()
	done := make(chan error, 4)
	for range 4 {
		s := begin(t, client, request("POST", "/"), 0)
		defer s.Close()
		go func() { done <- s.Write(body, End, patience) }()
		go func() {
			err := s.ReadHead(patience)
			if err == nil {
				var b []byte
				if b, err = readAll(s); err == nil && !bytes.Equal(b, body) {
					err = io.ErrUnexpectedEOF
				}
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// Who writes to a server that does not read gives up when he wants to, not when the
// connection does.
func TestAWriteToAServerThatTakesNothingWaitsAsLongAsItsPatience(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    Flag
	}{{"more follows", 0}, {"nothing follows", End}} {
		t.Run(tt.name, func(t *testing.T) {
			r, c := rawServer(t, Config{WriteTimeout: time.Second}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
			r.WriteWindowUpdate(0, maxWindow-firstWindow)
			<-c.Settled()
			var all []*Stream
			for range 3 { // one after the other, as long as the connection lasts
				s, err := c.NewStream()
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, s)
				s.Patience = 20 * time.Millisecond
				err = s.WriteHead(request("POST", "/"), 0)
				if err == nil {
					err = s.Write(make([]byte, 64<<20), tt.f, s.Patience)
				}
				if err != os.ErrDeadlineExceeded {
					t.Errorf("%v, want a timeout of this stream alone", err)
				}
			}
			c.Abort()
			for _, s := range all {
				s.Close()
			}
		})
	}
}
