package http2

import (
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// TestClientsThatBreakTheRules has one row for each rule about frames and
// streams, and what comes of breaking it.
func TestClientsThatBreakTheRules(t *testing.T) {
	setting := func(id http2.SettingID, v uint32) func(*raw) {
		return func(r *raw) { r.WriteSettings(http2.Setting{ID: id, Val: v}) }
	}
	frame := func(typ http2.FrameType, flags http2.Flags, id uint32, payload string) func(*raw) {
		return func(r *raw) { r.WriteRawFrame(typ, flags, id, []byte(payload)) }
	}
	open := func(r *raw) { r.headers(1, false, head("POST")...) }
	done := func(r *raw) {
		r.headers(1, true, head("GET")...)
		r.expect("DATA 1 15 end=true")
	}
	with := func(first, then func(*raw)) func(*raw) { return func(r *raw) { first(r); then(r) } }
	for _, tt := range []struct {
		clause, name string
		do           func(*raw)
		want         string
	}{
		{"4.1", "reserved bit", frame(http2.FramePing, 0, 1<<31, "12345678"), "nothing"},
		{"4.2", "a frame longer than allowed", frame(http2.FrameData, 0, 1, strings.Repeat("x", maxFrame+1)), "GOAWAY FRAME_SIZE_ERROR"},
		{"4.2", "HEADERS longer than allowed", frame(http2.FrameHeaders, 0, 1, strings.Repeat("x", maxFrame+1)), "GOAWAY FRAME_SIZE_ERROR"},
		{"4.3", "a block that cannot be decoded", frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\xff\xff\xff\xff"), "GOAWAY COMPRESSION_ERROR"},
		{"4.3", "a block that ends within a field", frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x40\x05ab"), "GOAWAY COMPRESSION_ERROR"},
		{"5.1", "DATA on an idle stream", frame(http2.FrameData, 0, 1, "x"), "GOAWAY PROTOCOL_ERROR"},
		{"5.1", "RST_STREAM on an idle stream", frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x08"), "GOAWAY PROTOCOL_ERROR"},
		{"5.1", "WINDOW_UPDATE on an idle stream", frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x08"), "GOAWAY PROTOCOL_ERROR"},
		{"5.1", "DATA on a closed stream", with(done, frame(http2.FrameData, 0, 1, "x")), "GOAWAY STREAM_CLOSED"},
		{"5.1", "HEADERS on a closed stream", with(done, func(r *raw) { r.headers(1, true, head("GET")...) }), "GOAWAY STREAM_CLOSED"},
		{"5.1", "WINDOW_UPDATE on a closed stream", with(done, frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x08")), "nothing"},
		{"5.1", "RST_STREAM on a closed stream", with(done, frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x08")), "nothing"},
		{"5.1.1", "an even stream", func(r *raw) { r.headers(2, true, head("GET")...) }, "GOAWAY PROTOCOL_ERROR"},
		{"5.1.1", "a lower stream", func(r *raw) { r.headers(5, true, head("GET")...); r.headers(3, true, head("GET")...) }, "GOAWAY PROTOCOL_ERROR"},
		{"5.5", "a frame of unknown type", frame(0x77, 0xff, 3, "x"), "nothing"},
		{"5.5", "a frame of unknown type in a field section", func(r *raw) {
			r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.section(head("GET")...)})
			r.WriteRawFrame(0x77, 0, 1, nil)
		}, "GOAWAY PROTOCOL_ERROR"},
		{"6.1", "DATA on no stream", frame(http2.FrameData, 0, 0, "x"), "GOAWAY PROTOCOL_ERROR"},
		{"6.1", "DATA with too much padding", with(open, frame(http2.FrameData, http2.FlagDataPadded, 1, "\x05abc")), "GOAWAY PROTOCOL_ERROR"},
		{"6.1", "DATA padded by nothing at all", with(open, frame(http2.FrameData, http2.FlagDataPadded, 1, "")), "GOAWAY PROTOCOL_ERROR"},
		{"6.2", "HEADERS on no stream", frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, ""), "GOAWAY PROTOCOL_ERROR"},
		{"6.2", "HEADERS with too much padding", frame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, "\x09abc"), "GOAWAY PROTOCOL_ERROR"},
		{"6.2", "HEADERS with half a priority", frame(http2.FrameHeaders, http2.FlagHeadersPriority|http2.FlagHeadersEndHeaders, 1, "abc"), "GOAWAY FRAME_SIZE_ERROR"},
		{"6.3", "PRIORITY on no stream", frame(http2.FramePriority, 0, 0, "\x00\x00\x00\x01\x00"), "GOAWAY PROTOCOL_ERROR"},
		{"6.3", "PRIORITY of four octets", with(open, frame(http2.FramePriority, 0, 1, "abcd")), "RST_STREAM FRAME_SIZE_ERROR"},
		{"6.3", "PRIORITY", frame(http2.FramePriority, 0, 5, "\x00\x00\x00\x01\x00"), "nothing"},
		{"6.3", "PRIORITY of itself", with(open, frame(http2.FramePriority, 0, 1, "\x00\x00\x00\x01\x00")), "RST_STREAM PROTOCOL_ERROR"},
		{"6.4", "RST_STREAM on no stream", frame(http2.FrameRSTStream, 0, 0, "abcd"), "GOAWAY PROTOCOL_ERROR"},
		{"6.4", "RST_STREAM of three octets", with(open, frame(http2.FrameRSTStream, 0, 1, "abc")), "GOAWAY FRAME_SIZE_ERROR"},
		{"6.5", "SETTINGS on a stream", frame(http2.FrameSettings, 0, 1, ""), "GOAWAY PROTOCOL_ERROR"},
		{"6.5", "SETTINGS of five octets", frame(http2.FrameSettings, 0, 0, "abcde"), "GOAWAY FRAME_SIZE_ERROR"},
		{"6.5", "an acknowledgment with a payload", frame(http2.FrameSettings, http2.FlagSettingsAck, 0, "abcdef"), "GOAWAY FRAME_SIZE_ERROR"},
		{"6.5.2", "ENABLE_PUSH", setting(http2.SettingEnablePush, 2), "GOAWAY PROTOCOL_ERROR"},
		{"6.5.2", "INITIAL_WINDOW_SIZE", setting(http2.SettingInitialWindowSize, 1<<31), "GOAWAY FLOW_CONTROL_ERROR"},
		{"6.5.2", "a small MAX_FRAME_SIZE", setting(http2.SettingMaxFrameSize, 1<<14-1), "GOAWAY PROTOCOL_ERROR"},
		{"6.5.2", "a large MAX_FRAME_SIZE", setting(http2.SettingMaxFrameSize, 1<<24), "GOAWAY PROTOCOL_ERROR"},
		{"6.5.2", "an unknown setting", setting(0x77, 7), "nothing"},
		{"6.6", "PUSH_PROMISE", frame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, "\x00\x00\x00\x02"), "GOAWAY PROTOCOL_ERROR"},
		{"6.7", "PING on a stream", frame(http2.FramePing, 0, 1, "12345678"), "GOAWAY PROTOCOL_ERROR"},
		{"6.7", "PING of seven octets", frame(http2.FramePing, 0, 0, "1234567"), "GOAWAY FRAME_SIZE_ERROR"},
		{"6.7", "an answer to no PING", frame(http2.FramePing, http2.FlagPingAck, 0, "12345678"), "nothing"},
		{"6.8", "GOAWAY on a stream", frame(http2.FrameGoAway, 0, 1, "12345678"), "GOAWAY PROTOCOL_ERROR"},
		{"6.8", "GOAWAY of seven octets", frame(http2.FrameGoAway, 0, 0, "1234567"), "GOAWAY FRAME_SIZE_ERROR"},
		{"6.9", "WINDOW_UPDATE of 0 on the connection", frame(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00"), "GOAWAY PROTOCOL_ERROR"},
		{"6.9", "WINDOW_UPDATE of 0 on a stream", with(open, frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x00")), "RST_STREAM PROTOCOL_ERROR"},
		{"6.9", "WINDOW_UPDATE of three octets", frame(http2.FrameWindowUpdate, 0, 0, "abc"), "GOAWAY FRAME_SIZE_ERROR"},
		{"6.9.1", "too large a window of the connection", frame(http2.FrameWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), "GOAWAY FLOW_CONTROL_ERROR"},
		{"6.9.1", "too large a window of a stream", with(open, frame(http2.FrameWindowUpdate, 0, 1, "\x7f\xff\xff\xff")), "RST_STREAM FLOW_CONTROL_ERROR"},
		{"6.9.2", "a setting that makes a window too large", func(r *raw) {
			open(r)
			r.WriteWindowUpdate(1, 1<<30)
			r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		}, "GOAWAY FLOW_CONTROL_ERROR"},
		{"6.10", "CONTINUATION without HEADERS", frame(http2.FrameContinuation, 0, 1, "x"), "GOAWAY PROTOCOL_ERROR"},
		{"6.10", "CONTINUATION of another stream", func(r *raw) {
			r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.section(head("GET")...)})
			r.WriteContinuation(3, true, nil)
		}, "GOAWAY PROTOCOL_ERROR"},
		{"8.1", "a second head", with(open, func(r *raw) { r.headers(1, false, "x", "y") }), "RST_STREAM PROTOCOL_ERROR"},
		{"8.1", "a pseudo-field in trailers", with(open, func(r *raw) { r.headers(1, true, ":path", "/") }), "RST_STREAM PROTOCOL_ERROR"},
		{"8.1.1", "less content than announced", func(r *raw) {
			r.headers(1, false, head("POST", "content-length", "3")...)
			r.WriteData(1, true, []byte("ab"))
		}, "RST_STREAM PROTOCOL_ERROR"},
		{"8.1.1", "more content than announced", func(r *raw) {
			r.headers(1, false, head("POST", "content-length", "3")...)
			r.WriteData(1, false, []byte("abcd"))
		}, "RST_STREAM PROTOCOL_ERROR"},
		{"8.1.1", "less content than announced, then trailers", func(r *raw) {
			r.headers(1, false, head("POST", "content-length", "3")...)
			r.headers(1, true, "x", "y")
		}, "RST_STREAM PROTOCOL_ERROR"},
	} {
		t.Run(tt.clause+" "+tt.name, func(t *testing.T) {
			r, _ := rawClient(t, Config{}, answer)
			tt.do(r)
			if got := r.outcome(); got != tt.want {
				t.Errorf("%s, expected %s", got, tt.want)
			}
		})
	}
}

// TestServersThatBreakTheRules is the same for what only servers can do. A
// request is on stream 1.
func TestServersThatBreakTheRules(t *testing.T) {
	for _, tt := range []struct {
		clause, name string
		do           func(*raw)
		want         string
	}{
		{"5.1.1", "HEADERS on a stream that was not opened", func(r *raw) { r.headers(3, true, ":status", "200") }, "GOAWAY PROTOCOL_ERROR"},
		{"5.1.1", "HEADERS on an even stream", func(r *raw) { r.headers(2, true, ":status", "200") }, "GOAWAY PROTOCOL_ERROR"},
		{"6.5.2", "ENABLE_PUSH", func(r *raw) { r.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 1}) }, "GOAWAY PROTOCOL_ERROR"},
		{"6.6", "PUSH_PROMISE", func(r *raw) {
			r.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: r.section(head("GET")...), EndHeaders: true})
		}, "GOAWAY PROTOCOL_ERROR"},
		{"8.1", "DATA before the head", func(r *raw) { r.WriteData(1, true, []byte("x")) }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.1", "an interim head that ends the stream", func(r *raw) { r.headers(1, true, ":status", "103") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.1", "a second head", func(r *raw) { r.headers(1, false, ":status", "200"); r.headers(1, false, ":status", "200") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.1", "content behind the end", func(r *raw) { r.headers(1, true, ":status", "200"); r.WriteData(1, true, []byte("x")) }, "GOAWAY STREAM_CLOSED"},
		{"8.1.1", "content for a 204", func(r *raw) { r.headers(1, false, ":status", "204"); r.WriteData(1, true, []byte("x")) }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.1.1", "content shorter than announced", func(r *raw) {
			r.headers(1, false, ":status", "200", "content-length", "2")
			r.WriteData(1, true, []byte("x"))
		}, "RST_STREAM PROTOCOL_ERROR"},
		{"8.2", "capitals", func(r *raw) { r.headers(1, true, ":status", "200", "X", "y") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.2.2", "a field of the connection", func(r *raw) { r.headers(1, true, ":status", "200", "connection", "close") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.3", "a pseudo-field of requests", func(r *raw) { r.headers(1, true, ":status", "200", ":path", "/") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.3.2", "no status", func(r *raw) { r.headers(1, true, "x", "y") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.3.2", "a status of four digits", func(r *raw) { r.headers(1, true, ":status", "0200") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.3.2", "a status of two digits", func(r *raw) { r.headers(1, true, ":status", "99") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.6", "switching protocols", func(r *raw) { r.headers(1, false, ":status", "101") }, "RST_STREAM PROTOCOL_ERROR"},
		{"8.1", "a good answer", func(r *raw) { r.headers(1, true, ":status", "200") }, "nothing"},
		{"5.1", "a reset, then content", func(r *raw) { r.WriteRSTStream(1, http2.ErrCodeCancel); r.WriteData(1, true, []byte("x")) }, "GOAWAY STREAM_CLOSED"},
		{"RFC 8441 3", "ENABLE_CONNECT_PROTOCOL", func(r *raw) { r.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 2}) }, "GOAWAY PROTOCOL_ERROR"},
	} {
		t.Run(tt.clause+" "+tt.name, func(t *testing.T) {
			r, c := rawServer(t, Config{})
			s := begin(t, c, request("GET", "/"), End)
			defer s.Close()
			tt.do(r)
			got := r.outcome()
			if got != tt.want {
				t.Errorf("%s, expected %s", got, tt.want)
			}
			err := s.ReadHead(patience)
			for err == nil {
				_, err = s.Read(make([]byte, 10), patience)
			}
			if complete := got == "nothing" || tt.name == "content behind the end"; complete != (err == io.EOF) || isTimeout(err) {
				t.Errorf("the stream ends with %v", err)
			}
		})
	}
}

func TestAConnectionStartsWithThePrefaceAndSETTINGS(t *testing.T) {
	for _, tt := range []struct{ name, octets string }{
		{"HTTP/1.1", "GET / HTTP/1.1\r\nHost: test.example\r\n\r\n"},
		{"one octet", "X"},
		{"no SETTINGS", preface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"},
		{"an acknowledgment", preface + "\x00\x00\x00\x04\x01\x00\x00\x00\x00"},
	} {
		a, b := sockets(t)
		server := serve(b, Config{}, answer)
		io.WriteString(a, tt.octets)
		err, ok := server.result(t).(*ConnError)
		if !ok || err.Code != http2.ErrCodeProtocol || err.Remote {
			t.Errorf("%s: %v", tt.name, server.err)
		}
	}
}

func TestWhatComesBehindAResetIsDropped(t *testing.T) {
	// RFC 9113 section 5.1, "closed": the peer may have sent it before it knew.
	r, _ := rawClient(t, Config{}, func(s *Stream) { s.Reset(http2.ErrCodeCancel) })
	for id := uint32(1); id < 400; id += 2 { // more than are remembered one by one
		r.headers(id, false, head("POST")...)
	}
	for n := 0; n < 200; {
		switch f := r.next(false).(type) {
		case *http2.RSTStreamFrame:
			n++
		default:
			t.Fatal(show(f))
		}
	}
	for id := uint32(1); id < 400; id += 2 {
		r.WriteData(id, false, []byte("still"))
		r.headers(id, true, "x", "y")
	}
	if got := r.outcome(); got != "nothing" {
		t.Error(got)
	}
}

func TestFramesMayComeOctetByOctet(t *testing.T) {
	a, b := sockets(t)
	server := serve(b, Config{}, answer)
	t.Cleanup(server.stop)
	var sent recorder
	r := newRaw(t, a)
	r.Framer = http2.NewFramer(&sent, a)
	r.WriteSettings()
	block := r.section(head("POST", "content-length", "5")...)
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:3]})
	r.WriteContinuation(1, false, nil)
	r.WriteContinuation(1, true, block[3:])
	r.WriteDataPadded(1, true, []byte("hello"), make([]byte, 200))
	var wg sync.WaitGroup
	octets := slices.Concat([]byte(preface), sent)
	wg.Go(func() {
		for i := range octets {
			a.Write(octets[i : i+1])
		}
	})
	r.expect("DATA 1 15 end=true")
	wg.Wait()
}

// A recorder keeps what is written.
type recorder []byte

func (r *recorder) Write(p []byte) (int, error) { *r = append(*r, p...); return len(p), nil }

func TestALongHeadIsSentInContinuations(t *testing.T) {
	for _, length := range []int{100, maxFrame - 20, maxFrame - 10, maxFrame, 2*maxFrame + 5, 3 * maxFrame} {
		value := strings.Repeat("\x7e", length*8/13) // "~" takes 13 bits
		c, _ := pair(t, Config{Limits: limitsOf(1 << 20)}, func(s *Stream) {
			s.WriteHead(response(200, "x-got", string(s.Request.Fields[0].Value)), End)
		})
		s := begin(t, c, request("GET", "/", "x-sent", value), End)
		if err := s.ReadHead(patience); err != nil || string(s.Response.Fields[0].Value) != value {
			t.Errorf("%d octets: %v, %d came back", length, err, len(s.Response.Fields[0].Value))
		}
		s.Close()
	}
}
