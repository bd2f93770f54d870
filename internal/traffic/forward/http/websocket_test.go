package http_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/http"
)

// A WebSocket goes from any version to any (RFC 6455, RFC 8441), with what either
// side says before the other one knows.
func TestAWebSocketInAnyVersion(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		address := socketTarget(t, p.target, "early from the target;", func(s socket) {
			for d := s.receive(1); d != ""; d = s.receive(1) {
				s.send(d)
			}
			s.finish()
			s.end()
		})
		b := start(t, []string{address}, p.setup)
		s := b.socket(p.client, "early from the client;")
		const want = "early from the target;early from the client;"
		if got := s.receive(len(want)); got != want {
			t.Errorf("got %q", got)
		}
		for range 3 {
			s.send("ping\x00\xff")
			if got := s.receive(6); got != "ping\x00\xff" {
				t.Errorf("got %q", got)
			}
		}
		s.finish()
		if how := s.end(); how != "finished" {
			t.Errorf("the WebSocket was %s", how)
		}
		status := map[string]int{v1: 101, v2: 200}
		res := b.result()
		if res.Denial != nil || !res.Switched || res.Status != status[p.client] || !res.Answered {
			t.Errorf("%+v", res)
		}
	})
}

// Much data, both ways at once.
func TestAWebSocketCarriesMuch(t *testing.T) {
	data := noise(200 << 10) // within the windows that a stream begins with
	eachPair(t, func(t *testing.T, p pair) {
		address := socketTarget(t, p.target, "", func(s socket) {
			for d := s.receive(1 << 10); d != ""; d = s.receive(1 << 10) {
				send(s, []byte(d))
			}
			s.finish()
			s.end()
		})
		s := start(t, []string{address}, p.setup).socket(p.client, "")
		done := make(chan bool)
		go func() { // the windows of this client are small, and granted by who reads
			defer close(done)
			for d := data; len(d) > 0; d = d[min(len(d), 1<<10):] {
				send(s, d[:min(len(d), 1<<10)])
			}
		}()
		if got := s.receive(len(data)); !bytes.Equal([]byte(got), data) {
			t.Errorf("%d bytes came back, not what was sent", len(got))
		}
		<-done
		s.finish()
		if how := s.end(); how != "finished" {
			t.Errorf("the WebSocket was %s", how)
		}
	})
}

// send sends d.
func send(s socket, d []byte) { s.send(string(d)) }

// The end of one direction is not the end of the other; an end that is none is
// passed on as such (RFC 8441 section 5: RST_STREAM with CANCEL).
func TestHowAWebSocketEndsInAnyVersion(t *testing.T) {
	t.Run("the client has finished", func(t *testing.T) {
		eachPair(t, func(t *testing.T, p pair) {
			address := socketTarget(t, p.target, "", func(s socket) {
				got := s.receive(1 << 10)
				s.send("heard " + got)
				s.finish()
			})
			s := start(t, []string{address}, p.setup).socket(p.client, "")
			s.send("all")
			s.finish()
			if got := s.receive(100); got != "heard all" || s.end() != "finished" {
				t.Errorf("%q, then the end: %s", got, s.end())
			}
		})
	})
	t.Run("the target has finished", func(t *testing.T) {
		eachPair(t, func(t *testing.T, p pair) {
			heard := make(chan string, 1)
			address := socketTarget(t, p.target, "bye", func(s socket) {
				s.finish()
				heard <- s.receive(1 << 10)
			})
			s := start(t, []string{address}, p.setup).socket(p.client, "")
			if got := s.receive(100); got != "bye" || s.end() != "finished" {
				t.Errorf("%q, then the end: %s", got, s.end())
			}
			s.send("still here")
			s.finish()
			if got := receive(t, heard, "what the target heard"); got != "still here" {
				t.Errorf("the target heard %q", got)
			}
		})
	})
	for _, who := range []string{"client", "target"} {
		t.Run("the "+who+" tears it", func(t *testing.T) {
			eachPair(t, func(t *testing.T, p pair) {
				ended := make(chan string, 1)
				address := socketTarget(t, p.target, "", func(s socket) {
					if who == "target" {
						s.tear()
					}
					ended <- s.end()
				})
				b := start(t, []string{address}, p.setup)
				s := b.socket(p.client, "")
				how := ""
				if who == "client" {
					s.tear()
					how = receive(t, ended, "the end of it at the target")
				} else {
					how = s.end()
				}
				told := p.client
				if who == "client" {
					told = p.target
				}
				if told == v2 && how != "torn" {
					t.Errorf("it ended as if it had been finished")
				}
				if res := b.result(); res.Denial != nil {
					t.Error(res.Denial)
				}
			})
		})
	}
}

// An Interrupt lets a WebSocket come to its end, and the connection with it.
func TestAnInterruptLetsAWebSocketFinish(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		address := socketTarget(t, p.target, "", func(s socket) {
			for d := s.receive(4); d != ""; d = s.receive(4) {
				s.send(d)
			}
			s.finish()
			s.end()
		})
		b := start(t, []string{address}, p.setup)
		s := b.socket(p.client, "")
		b.both(func(f connection) { f.Interrupt() })
		s.send("ping")
		if got := s.receive(4); got != "ping" {
			t.Errorf("got %q", got)
		}
		s.finish()
		if how := s.end(); how != "finished" {
			t.Errorf("the WebSocket was %s", how)
		}
		if s, is := s.(*streamSocket); is {
			for {
				if _, err := s.next(); err != nil {
					break
				}
			}
		}
	})
}

// A silence of both sides, a Cut and a client that is no longer accepted end a
// WebSocket, on both sides.
func TestWhatEndsAWebSocketInAnyVersion(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*setup)
		end    func(*bench, socket)
		code   countersign.Code // "": none
	}{
		"silence": {change: func(s *setup) { s.set.Idle = 50 * time.Millisecond }},
		"a cut":   {end: func(b *bench, _ socket) { b.both(func(f connection) { f.Cut() }) }},
		"a client that is revoked": {
			change: func(s *setup) {
				s.still = func() *countersign.Denial {
					return countersign.Deny(countersign.StageVerify, countersign.ClientCertCrlHit, "revoked")
				}
			},
			end:  func(_ *bench, s socket) { s.send("x") },
			code: countersign.ClientCertCrlHit,
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, p pair) {
				ended := make(chan string, 1)
				address := socketTarget(t, p.target, "", func(s socket) { ended <- s.end() })
				changes := []func(*setup){p.setup}
				if tt.change != nil {
					changes = append(changes, tt.change)
				}
				b := start(t, []string{address}, changes...)
				s := b.socket(p.client, "")
				if tt.end != nil {
					tt.end(b, s)
				}
				s.end()
				receive(t, ended, "the end of it at the target")
				res := b.result()
				if !res.Switched || (res.Denial == nil) != (tt.code == "") || tt.code != "" && res.Denial.Code != tt.code {
					t.Errorf("%+v", res)
				}
			})
		})
	}
}

// A connection of a client, in either version.
type connection interface {
	Interrupt()
	Cut()
}

var _, _ connection = (*http.Front)(nil), (*http.Streams)(nil)

// both does something to the connection that the bench has.
func (b *bench) both(do func(connection)) {
	b.t.Helper()
	select {
	case f := <-b.fronts:
		do(f)
	case f := <-b.streams:
		do(f)
	case <-time.After(patience):
		b.t.Fatal("there is no connection")
	}
}

// A target may refuse: its answer is an ordinary one. But to a client of HTTP/2
// 2xx would say that the WebSocket is there.
func TestATargetThatTakesNoWebSocket(t *testing.T) {
	for _, status := range []int{403, 302, 200} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			eachPair(t, func(t *testing.T, p pair) {
				address := ""
				if p.target == v1 {
					address, _ = recorder(t, lines(fmt.Sprintf("HTTP/1.1 %d X", status), "Content-Length: 2")+"no")
				} else {
					address = target2(t, func(p *peer) {
						f, err := p.next()
						if err != nil {
							return
						}
						if f.get(":method") == "CONNECT" && status == 200 {
							t.Error("it was asked, though it has not said that it may be")
						}
						p.head(f.id, false, ":status", fmt.Sprint(status), "content-length", "2")
						p.data(f.id, true, "no")
						p.next()
					}, map[bool][]h2.Setting{true: {takesConnect}}[status != 200]...)
				}
				b := start(t, []string{address}, p.setup)
				want := answered{status: status, body: "no"}
				var got answered
				if p.client == v1 {
					c := b.dial()
					c.write(chatRequest)
					got = c.answered()
				} else {
					c := b.dial2()
					c.head(1, false, chat2...)
					if got = c.answered(1); status == 200 {
						got.body, want = "", answered{status: 502}
					}
				}
				if got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
				if res := b.result(); res.Switched || (res.Denial == nil) != (want.status == status) {
					t.Errorf("%+v", res)
				}
			})
		})
	}
}

// A target that has not read the key has not read what it answers (RFC 6455
// section 4.1). The client of HTTP/1.1 would find out for itself.
func TestAWebSocketWithTheWrongKey(t *testing.T) {
	for name, accept := range map[string]string{"wrong": "Sec-WebSocket-Accept: y", "none": "X: y"} {
		t.Run(name, func(t *testing.T) {
			address, _ := recorder(t, lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", accept))
			b := start(t, []string{address}, pair{v2, v1}.setup)
			p := b.dial2()
			p.head(1, false, chat2...)
			if a := p.answered(1); a.status != 502 {
				t.Errorf("%+v", a)
			}
			b.ends(countersign.TargetBadResponse)
		})
	}
}

// What lacks the key is not what a browser sends for a WebSocket (RFC 6455
// section 4.2.1); over HTTP/2 the target could not tell any more. It stays an
// ordinary request.
func TestAnUpgradeWithoutAKeyIsNotTranslated(t *testing.T) {
	for name, request := range map[string]string{
		"no key":       strings.Replace(chatRequest, "Sec-WebSocket-Key: "+chatKey+"\r\n", "", 1),
		"a short key":  strings.Replace(chatRequest, chatKey, "eA==", 1),
		"two keys":     strings.Replace(chatRequest, "Sec-WebSocket-Key", "Sec-WebSocket-Key: "+chatKey+"\r\nSec-WebSocket-Key", 1),
		"another wish": strings.Replace(chatRequest, "Upgrade: WebSocket", "Upgrade: websocket, x", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan frame, 1)
			address := target2(t, func(p *peer) {
				f, _ := p.next()
				got <- f
				answer2(p, f.id)
				p.next()
			}, takesConnect)
			c := start(t, []string{address}, pair{v1, v2}.setup).dial()
			c.write(request)
			if a := c.answered(); a.status != 200 {
				t.Errorf("%+v", a)
			}
			if f := receive(t, got, "the request"); f.get(":method") != "GET" || f.has(":protocol") || !f.end {
				t.Errorf("the target got %v", f)
			}
		})
	}
}

// An extended CONNECT has no content, whatever it says.
func TestAnExtendedConnectWithALength(t *testing.T) {
	address := socketTarget(t, v1, "", func(s socket) { s.send(s.receive(5)) })
	p := start(t, []string{address}, pair{v2, v1}.setup).dial2()
	p.head(1, false, append(chat2, "expect", "100-continue")...)
	p.data(1, false, "hello")
	for got := ""; got != "hello"; {
		f, err := p.next()
		if err != nil || f.kind == h2.FrameRSTStream {
			t.Fatalf("%v, %v, after %q", f, err, got)
		}
		got += f.data
	}
}
