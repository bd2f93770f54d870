package http_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
)

// A script2 is a target that speaks HTTP/2 and deals with each request as the
// next of acts says, and with those behind them by an answer. Every request is
// told.
func script2(t *testing.T, acts ...func(p *peer, id uint32) (goesOn bool)) (address string, requests <-chan string) {
	told := make(chan string, 16)
	var n, conns atomic.Int64
	return target2(t, func(p *peer) {
		conn := conns.Add(1)
		for {
			f, err := p.next()
			if err != nil {
				return
			}
			if f.kind != h2.FrameHeaders {
				continue
			}
			body := ""
			for end := f.end; !end; {
				d, err := p.next()
				if err != nil {
					return
				}
				body, end = body+d.data, d.end || d.kind == h2.FrameRSTStream
			}
			told <- fmt.Sprintf("%s %q on %d", f.get(":method"), body, conn)
			if i := int(n.Add(1)) - 1; i < len(acts) {
				if acts[i](p, f.id) {
					continue
				}
				return
			}
			answer2(p, f.id)
		}
	}), told
}

func answer2(p *peer, id uint32) bool {
	p.head(id, false, ":status", "200")
	p.data(id, true, "ok")
	return true
}

// RFC 9113 section 8.7: what the target has surely not seen is sent again,
// whatever the method; what it may have seen only if that does no harm (RFC 9110
// section 9.2.2), and only where the connection was used before.
func TestWhatIsSentAgainOverHTTP2(t *testing.T) {
	refuse := func(p *peer, id uint32) bool { p.reset(id, h2.ErrCodeRefusedStream); return true }
	away := func(p *peer, id uint32) bool { p.goAway(max(id, 2)-2, h2.ErrCodeNo); return false }
	leave := func(*peer, uint32) bool { return false }
	fail := func(p *peer, id uint32) bool { p.reset(id, h2.ErrCodeInternal); return true }
	calm := func(p *peer, id uint32) bool { p.goAway(id, h2.ErrCodeEnhanceYourCalm); return false }
	type act = func(*peer, uint32) bool
	for _, tt := range []struct {
		name   string
		used   bool // there is a connection that answered a request before
		acts   []act
		method string
		status int
		conns  string // by which the request came
	}{
		{"POST, refused", false, []act{refuse}, "POST", 200, "11"},
		{"GET, refused", false, []act{refuse}, "GET", 200, "11"},
		{"POST, refused again and again", false, []act{refuse, refuse, refuse, refuse, refuse}, "POST", 502, "1111"},
		{"POST, beyond GOAWAY", false, []act{away}, "POST", 200, "12"},
		{"POST, within GOAWAY", false, []act{calm}, "POST", 502, "1"},
		{"GET, lost with a new connection", false, []act{leave}, "GET", 502, "1"},
		{"POST, lost with a new connection", false, []act{leave}, "POST", 502, "1"},
		{"GET, lost with a connection that was used", true, []act{answer2, leave}, "GET", 200, "12"},
		{"PUT, lost with a connection that was used", true, []act{answer2, leave}, "PUT", 200, "12"},
		{"POST, lost with a connection that was used", true, []act{answer2, leave}, "POST", 502, "1"},
		{"GET, reset", true, []act{answer2, fail}, "GET", 502, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, version := range []string{v1, v2} {
				address, got := script2(t, tt.acts...)
				b := start(t, []string{address}, pair{version, v2}.setup)
				if tt.used {
					b.ask(version)
					receive(t, got, "the first request")
					b.result()
				}
				body := ""
				var a answered
				if version == v1 {
					body = "abc"
					c := b.dial()
					c.write(tt.method + " / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
					a = c.answered()
				} else {
					c := b.dial2()
					c.head(1, true, ":method", tt.method, ":scheme", "https", ":authority", "h", ":path", "/")
					a = c.answered(1)
				}
				if a.status != tt.status {
					t.Errorf("%s: %+v, want %d", version, a, tt.status)
				}
				conns := ""
				for len(got) > 0 {
					g := <-got
					if !strings.HasPrefix(g, fmt.Sprintf("%s %q on ", tt.method, body)) {
						t.Errorf("%s: the target got %s", version, g)
					}
					conns += g[len(g)-1:]
				}
				if conns != tt.conns {
					t.Errorf("%s: the request came by connections %s, want %s", version, conns, tt.conns)
				}
				if res := b.result(); (res.Denial == nil) != (tt.status == 200) || res.Denial != nil && res.Denial.Code != countersign.TargetClosed {
					t.Errorf("%s: %+v", version, res)
				}
			}
		})
	}
}

// Of a body that has gone by nothing is left to send again, though the target
// refused the request at the end of it.
func TestABodyThatHasGoneByIsNotSentAgain(t *testing.T) {
	for _, version := range []string{v1, v2} {
		t.Run(strings.ReplaceAll(version, "/", ""), func(t *testing.T) {
			begun, got := make(chan bool, 8), make(chan string, 8)
			address := target2(t, func(p *peer) {
				for {
					head, err := p.next()
					if err != nil {
						return
					}
					f, err := p.next()
					begun <- true
					body := f.data
					for err == nil && !f.end {
						f, err = p.next()
						body += f.data
					}
					got <- fmt.Sprintf("%s %q", head.get(":method"), body)
					p.reset(head.id, h2.ErrCodeRefusedStream)
				}
			})
			b := start(t, []string{address}, pair{version, v2}.setup)
			var a answered
			if version == v1 {
				c := b.dial()
				c.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n")
				receive(t, begun, "the first part of it")
				c.write("3\r\ndef\r\n0\r\n\r\n")
				a = c.answered()
			} else {
				c := b.dial2()
				c.head(1, false, post2...)
				c.data(1, false, "abc")
				receive(t, begun, "the first part of it")
				c.data(1, true, "def")
				a = c.answered(1)
			}
			if g := receive(t, got, "the request"); g != `POST "abcdef"` || a.status != 502 {
				t.Errorf("%+v, the target got %s", a, g)
			}
			none(t, got, "half of the request was sent again")
		})
	}
}
