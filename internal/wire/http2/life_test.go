package http2

import (
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestGoAwayServesWhatIsUnderWay(t *testing.T) {
	// RFC 9113 section 6.8: first the highest id, and the real one when the client
	// must have read that.
	release := make(chan struct{})
	r, server := rawClient(t, Config{}, func(s *Stream) {
		<-release
		s.WriteHead(response(200), End)
	})
	r.headers(1, true, head("GET")...)
	r.WritePing(false, [8]byte{'x'})
	r.expect("PING ack=true x")
	server.GoAway()
	if f := r.next(false); show(f) != "GOAWAY 2147483647 NO_ERROR" {
		t.Fatal(show(f))
	}
	ping := r.next(false).(*http2.PingFrame)
	r.headers(3, true, head("GET")...) // sent before it knew
	r.WritePing(true, ping.Data)
	if f := r.next(false); show(f) != "GOAWAY 3 NO_ERROR" {
		t.Fatal(show(f))
	}
	r.headers(5, true, head("GET")...) // too late: dropped
	r.WriteWindowUpdate(5, 1)
	r.WriteRSTStream(7, http2.ErrCodeCancel)
	close(release)
	for range 2 {
		if _, ok := r.next(false).(*http2.HeadersFrame); !ok {
			t.Error("no answer came")
		}
	}
	if err := server.result(t); err != io.EOF {
		t.Errorf("Serve returned %v, expected EOF", err)
	}
	if _, err := r.ReadFrame(); err == nil {
		t.Error("there is more")
	}
}

func TestGoAwayDoesNotWaitForAClientThatDoesNotAnswer(t *testing.T) {
	release := make(chan struct{})
	r, server := rawClient(t, Config{}, func(s *Stream) { <-release })
	r.headers(1, true, head("GET")...)
	r.WritePing(false, [8]byte{'x'})
	r.expect("PING ack=true x")
	server.GoAway()
	server.GoAway()
	r.expect("GOAWAY 2147483647 NO_ERROR")
	r.expect("GOAWAY 1 NO_ERROR") // a second later
	close(release)
	if err := server.result(t); err != io.EOF {
		t.Errorf("Serve returned %v, expected EOF", err)
	}
}

func TestGoAwayEndsAConnectionWithoutStreamsAtOnce(t *testing.T) {
	for _, idle := range []bool{false, true} { // before or after the reader waits
		r, server := rawClient(t, Config{}, answer)
		if idle {
			r.headers(1, true, head("GET")...)
			r.expect("DATA 1 15 end=true")
		}
		server.GoAway()
		if err := server.result(t); err != io.EOF {
			t.Errorf("Serve returned %v, expected EOF", err)
		}
		if f := r.next(false); f.Header().Type != http2.FrameGoAway {
			t.Errorf("%s, expected GOAWAY", show(f))
		}
	}
}

func TestGoAwayOfAClientWaitsForItsStreams(t *testing.T) {
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("GET", "/"), End)
	c.GoAway()
	r.expect("GOAWAY 0 NO_ERROR")
	if _, err := c.NewStream(); err != ErrGoingAway || !Unprocessed(err) {
		t.Errorf("%v, expected ErrGoingAway", err)
	}
	r.headers(1, true, ":status", "200")
	if err := s.ReadHead(patience); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := c.result(t); err != io.EOF {
		t.Errorf("Serve returned %v, expected EOF", err)
	}
}

func TestRequestsThatAServerWillNotAnswerAreUnprocessed(t *testing.T) {
	// RFC 9113 section 8.7.
	r, c := rawServer(t, Config{})
	var all [4]*Stream
	for i := range all {
		all[i] = begin(t, c, request("POST", "/"), End)
	}
	reserved, err := c.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	r.WriteRSTStream(1, http2.ErrCodeRefusedStream)
	r.WriteRSTStream(3, http2.ErrCodeCancel)
	r.WriteGoAway(5, http2.ErrCodeNo, nil)
	for i, want := range []bool{true, false, false, true} {
		if i == 2 {
			continue
		}
		if err := all[i].ReadHead(patience); err == nil || Unprocessed(err) != want {
			t.Errorf("stream %d: %v, unprocessed %v", 2*i+1, err, !want)
		}
	}
	if err := reserved.WriteHead(request("GET", "/"), End); !Unprocessed(err) {
		t.Errorf("a stream that was not opened: %v", err)
	}
	if _, err := c.NewStream(); err != ErrGoingAway {
		t.Errorf("%v, expected ErrGoingAway", err)
	}
	// The one the server knows is answered.
	r.headers(5, true, ":status", "200")
	if err := all[2].ReadHead(patience); err != nil {
		t.Error(err)
	}
	for _, s := range append(all[:], reserved) {
		s.Close()
	}
	if err := c.result(t); err != io.EOF {
		t.Errorf("Serve returned %v, expected EOF", err)
	}
}

func TestWhatWasNeverSentIsUnprocessed(t *testing.T) {
	a, b := sockets(t)
	c := &party{Conn: New(a, Config{Client: true})}
	sent := begin(t, c, request("POST", "/"), End)
	queued := begin(t, c, request("POST", "/"), More|End)
	c.Abort()
	b.Close()
	for _, tt := range []struct {
		name string
		s    *Stream
		want bool
	}{{"sent", sent, false}, {"queued", queued, true}} {
		err := tt.s.ReadHead(patience)
		if !errors.Is(err, ErrAborted) || Unprocessed(err) != tt.want {
			t.Errorf("%s: %v, unprocessed %v", tt.name, err, !tt.want)
		}
		tt.s.Close()
	}
	if _, err := c.NewStream(); !Unprocessed(err) {
		t.Errorf("%v, expected that nothing was processed", err)
	}
	if err := c.Serve(0, nil); err != ErrAborted {
		t.Errorf("Serve returned %v, expected ErrAborted", err)
	}
}

func TestAFullPeerSaysSo(t *testing.T) {
	// RFC 9113 section 5.1.2.
	r, c := rawServer(t, Config{}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
	<-c.Settled()
	first := begin(t, c, request("GET", "/"), End)
	second, err := c.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewStream(); err != ErrFull || !Unprocessed(err) {
		t.Errorf("%v, expected ErrFull", err)
	}
	if n := c.OpenStreams(); n != 2 {
		t.Errorf("%d streams are open", n)
	}
	second.Close()
	r.headers(1, true, ":status", "200")
	if err := first.ReadHead(patience); err != nil {
		t.Error(err)
	}
	first.Close()
	if n := c.OpenStreams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
	third := begin(t, c, request("GET", "/"), End)
	third.Close()
}

func TestAPeerThatClosesBetweenFramesEndsInOrder(t *testing.T) {
	for _, tt := range []struct {
		name string
		last func(*raw)
		want error
	}{
		{"between frames", func(*raw) {}, io.EOF},
		{"within a frame header", func(r *raw) { r.rw.Write([]byte("\x00\x00")) }, io.ErrUnexpectedEOF},
		{"within a frame", func(r *raw) { r.rw.Write([]byte("\x00\x00\x08\x06\x00\x00\x00\x00\x00123")) }, io.ErrUnexpectedEOF},
		{"within a field section", func(r *raw) {
			r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.section(head("GET")...)})
		}, io.ErrUnexpectedEOF},
	} {
		r, server := rawClient(t, Config{}, answer)
		r.headers(1, true, head("GET")...)
		r.expect("DATA 1 15 end=true")
		tt.last(r)
		r.rw.Close()
		if err := server.result(t); err != tt.want {
			t.Errorf("%s: Serve returned %v, expected %v", tt.name, err, tt.want)
		}
	}
}

func TestTheReasonOfAPeersGOAWAYIsReturned(t *testing.T) {
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("GET", "/"), End)
	defer s.Close()
	r.expect("HEADERS 1 end=true")
	r.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
	r.rw.Close()
	err, ok := errors.AsType[*ConnError](c.result(t))
	if !ok || !err.Remote || err.Code != http2.ErrCodeEnhanceYourCalm || err.Reason != "too_many_pings" {
		t.Errorf("Serve returned %v", c.err)
	}
	if err := s.ReadHead(patience); err == nil || Unprocessed(err) {
		t.Errorf("the stream ends with %v", err)
	}
}

// TestASilentConnectionRestsAndGoesOn: HPACK state and streams' numbers outlive
// the rest.
func TestASilentConnectionRestsAndGoesOn(t *testing.T) {
	a, b := sockets(t)
	server := New(b, Config{})
	r := newRaw(t, a)
	io.WriteString(a, preface)
	r.WriteSettings()
	for round := range 3 {
		served := make(chan error, 1)
		go func() { served <- server.Serve(5*time.Millisecond, func(s *Stream) { answer(s); s.Close() }) }()
		id := uint32(2*round + 1)
		r.headers(id, true, head("GET", "x-indexed", "in the table")...)
		for err := error(nil); err == nil; {
			select {
			case err = <-served:
				if err != ErrSilent {
					t.Fatal(err)
				}
			case <-time.After(patience):
				t.Fatal("the connection does not become silent")
			}
		}
		r.expect("DATA " + string(rune('0'+id)) + " 15 end=true")
		server.Rest()
		if server.in != nil || server.out != nil || server.streams != nil {
			t.Error("a connection at rest holds buffers")
		}
	}
	server.GoAway()
	if err := server.Serve(time.Hour, nil); err != io.EOF {
		t.Errorf("Serve returned %v behind GoAway, expected EOF", err)
	}
}

func TestAConnectionWithAStreamIsNotSilent(t *testing.T) {
	release := make(chan struct{})
	a, b := sockets(t)
	server := New(b, Config{})
	r := newRaw(t, a)
	io.WriteString(a, preface)
	r.WriteSettings()
	r.headers(1, true, head("GET")...) // it is there before anybody waits for it
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(2*time.Millisecond, func(s *Stream) {
			go func() { <-release; answer(s); s.Close() }()
		})
	}()
	for napping := false; !napping; {
		server.mu.Lock()
		napping = server.napping
		server.mu.Unlock()
		select {
		case err := <-served:
			t.Fatalf("Serve returned %v while a stream is open", err)
		default:
		}
	}
	close(release)
	if err := <-served; err != ErrSilent { // The last Close woke it.
		t.Errorf("Serve returned %v", err)
	}
}

func TestWhatIsHalfReadHasToCome(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*raw)
	}{
		{"a frame header", func(r *raw) { r.rw.Write([]byte{0}) }},
		{"a frame", func(r *raw) { r.rw.Write([]byte("\x00\x00\x08\x06\x00\x00\x00\x00\x00123")) }},
		{"a field section", func(r *raw) {
			r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.section(head("GET")...)})
		}},
		{"a field section with frames that go on", func(r *raw) {
			r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.section(head("GET")...)})
			for range 20 {
				r.WriteContinuation(1, false, []byte("\x00\x01a\x01b"))
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, server := rawClient(t, Config{HeadTimeout: 20 * time.Millisecond}, answer)
			tt.do(r)
			err, ok := errors.AsType[*ConnError](server.result(t))
			if !ok || err.Code != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("Serve returned %v", server.err)
			}
		})
	}
}

func TestHalfAPrefaceIsNotWaitedForForEver(t *testing.T) {
	a, b := sockets(t)
	server := serve(b, Config{HeadTimeout: 20 * time.Millisecond}, answer)
	io.WriteString(a, preface[:10])
	if err, ok := errors.AsType[*ConnError](server.result(t)); !ok || err.Code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("half a preface: Serve returned %v", server.err)
	}
}

func TestAbortFailsAllStreams(t *testing.T) {
	c, server := pair(t, Config{}, func(s *Stream) {
		if _, err := s.Read(make([]byte, 1), patience); !errors.Is(err, ErrAborted) {
			t.Errorf("Read returned %v", err)
		}
		if err := s.Write([]byte("x"), 0, patience); !errors.Is(err, ErrAborted) {
			t.Errorf("Write returned %v", err)
		}
	})
	s := begin(t, c, request("POST", "/"), 0)
	defer s.Close()
	gone := make(chan struct{})
	s.OnGone(func() { close(gone) })
	for server.OpenStreams() == 0 {
		if err := s.ReadHead(time.Millisecond); !isTimeout(err) {
			t.Fatal(err)
		}
	}
	server.Abort()
	if err := server.result(t); err != ErrAborted {
		t.Errorf("Serve returned %v", err)
	}
	<-gone
	if err := s.ReadHead(patience); err == nil || isTimeout(err) {
		t.Errorf("the other side reads %v", err)
	}
	s.OnGone(func() { gone = nil })
	if gone != nil {
		t.Error("OnGone does not call at once though the stream is gone")
	}
}

func TestAPeerThatTakesNothingIsCut(t *testing.T) {
	a, b := sockets(t)
	// The windows are large, but nothing is read.
	server := serve(b, Config{WriteTimeout: 50 * time.Millisecond}, func(s *Stream) {
		s.WriteHead(response(200), 0)
		p := make([]byte, 1<<20)
		for s.Write(p, 0, patience) == nil {
		}
	})
	r := newRaw(t, a)
	io.WriteString(a, preface)
	r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	r.WriteWindowUpdate(0, 1<<30)
	r.headers(1, true, head("GET")...)
	if err := server.result(t); !isTimeout(err) {
		t.Errorf("Serve returned %v, expected a timeout", err)
	}
}

// A place that was reserved before the peer said how many streams it takes is
// none above that.
func TestAPlaceReservedTooEarlyIsNotUsed(t *testing.T) {
	// RFC 9113 section 5.1.2.
	_, b := sockets(t)
	c := New(b, Config{Client: true})
	var streams []*Stream
	for range 2 {
		s, err := c.NewStream()
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	c.mu.Lock()
	c.peer.streams = 1 // as SETTINGS would have it
	c.mu.Unlock()
	if err := streams[0].WriteHead(request("GET", "/"), End); err != nil {
		t.Error(err)
	}
	if err := streams[1].WriteHead(request("POST", "/"), End); err != ErrFull || !Unprocessed(err) {
		t.Errorf("%v, expected ErrFull", err)
	}
	for _, s := range streams {
		s.Close()
	}
	if n := c.OpenStreams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
}

// A connection on which every number was used ends with its last stream.
func TestAConnectionWithoutNumbersGoesAway(t *testing.T) {
	// RFC 9113 section 5.1.1.
	r, c := rawServer(t, Config{})
	c.mu.Lock()
	c.nextID = maxID
	c.mu.Unlock()
	s := begin(t, c, request("GET", "/"), End)
	if _, err := c.NewStream(); err != ErrGoingAway {
		t.Errorf("%v, expected ErrGoingAway", err)
	}
	r.expect("GOAWAY 0 NO_ERROR")
	r.headers(maxID, true, ":status", "200")
	if err := s.ReadHead(patience); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := c.result(t); err != io.EOF {
		t.Errorf("Serve returned %v, expected EOF", err)
	}
}
