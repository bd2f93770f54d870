package http_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/http"
)

// A stage is a point of a connection's life at which it can be stopped.
type stage struct {
	name string
	// reach brings the connection there.
	reach func(*client, *held)
	// rest is what the client does to finish, and what it gets then.
	rest func(*client, *held)
}

// A held target tells when it has a head and waits to be told to answer.
type held struct {
	heads  chan string
	answer chan string // "": close
}

func (h *held) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		head, err := readHead(r)
		if err != nil {
			return
		}
		h.heads <- head
		answer := <-h.answer
		io.WriteString(conn, answer)
		if answer == wsAnswer {
			io.Copy(conn, r)
			return
		}
		if answer == "" {
			return
		}
	}
}

// next waits for a request and has it answered.
func (h *held) next(c *client, answer string) {
	receive(c.t, h.heads, "a request")
	h.answer <- answer
}

func stages() []stage {
	const closing = "Content-Length: 2\r\nConnection: close\r\n\r\nok"
	return []stage{
		{"idle", func(*client, *held) {}, func(c *client, _ *held) { c.ended() }},
		{"in a head", func(c *client, h *held) {
			c.write(lines("GET / HTTP/1.1", "Host: h") + "GET / HTTP/1.1\r\nHo") // read together
			h.next(c, ok)
			c.expect(ok)
		}, func(c *client, h *held) {
			c.write("st: h\r\n\r\n")
			h.next(c, ok)
			c.head()
			c.expect("ok")
			c.ended()
		}},
		{"in a body", func(c *client, h *held) {
			c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc")
			receive(c.t, h.heads, "a request")
		}, func(c *client, h *held) {
			c.write("de")
			h.answer <- ok
			c.head()
			c.expect("ok")
			c.ended()
		}},
		{"waiting for the target", func(c *client, h *held) {
			c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			receive(c.t, h.heads, "a request")
		}, func(c *client, h *held) {
			h.answer <- ok
			if head := c.head() + "ok"; !strings.HasSuffix(head, closing) {
				c.t.Errorf("%q", head)
			}
			c.expect("ok")
			c.ended()
		}},
		{"in an answer", func(c *client, h *held) {
			c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			h.next(c, "HTTP/1.1 200 OK\r\n\r\nabc")
			c.head()
			c.expect("3\r\nabc\r\n")
		}, nil},
		{"in a tunnel", func(c *client, h *held) {
			c.write(wsRequest)
			h.next(c, wsAnswer)
			c.expect(wsPassed)
		}, func(c *client, h *held) {
			c.write("ping")
			c.expect("ping")
			c.tcp().CloseWrite()
			c.ended()
		}},
	}
}

func atStage(t *testing.T, st stage) (*bench, *client, *held, *http.Front) {
	h := &held{heads: make(chan string, 4), answer: make(chan string, 4)}
	b := start(t, []string{target(t, h.serve)})
	t.Cleanup(func() { close(h.answer) }) // the target ends
	c := b.dial()
	f := receive(t, b.fronts, "the connection")
	st.reach(c, h)
	return b, c, h, f
}

// Interrupt ends a connection between two exchanges; what is under way is
// finished, and the client told that it was the last.
func TestInterruptLetsAnExchangeFinish(t *testing.T) {
	for _, st := range stages() {
		if st.rest == nil {
			continue
		}
		t.Run(st.name, func(t *testing.T) {
			_, c, h, f := atStage(t, st)
			f.Interrupt()
			st.rest(c, h)
		})
	}
}

// Cut ends everything at once, wherever it is, on both sides.
func TestCutEndsEverything(t *testing.T) {
	for _, st := range stages() {
		t.Run(st.name, func(t *testing.T) {
			b, c, _, f := atStage(t, st)
			f.Cut()
			c.rest()
			if st.name == "in a body" || st.name == "waiting for the target" || st.name == "in an answer" {
				b.ends(countersign.ShuttingDown)
			}
		})
	}
}

// A cut exchange is not sent again to somebody else.
func TestCutIsNoReasonToTryAgain(t *testing.T) {
	requests := make(chan bool, 16)
	b := start(t, []string{target(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		readHead(r)
		io.WriteString(conn, ok)
		readHead(r)
		requests <- true
		io.Copy(io.Discard, r)
	})})
	c := b.dial()
	c.exchange(lines("GET /1 HTTP/1.1", "Host: h"))
	b.result()
	c.write(lines("GET /2 HTTP/1.1", "Host: h"))
	receive(t, requests, "the request")
	(<-b.fronts).Cut()
	b.ends(countersign.ShuttingDown)
	none(t, requests, "the request was sent again")
}

// overTLS makes the engine's side TLS and returns how to connect to it.
func overTLS(t testing.TB) (change func(*setup), dial func(*bench) *client) {
	root := testpki.NewRoot(t, "Test Root")
	server := &tls.Config{Certificates: []tls.Certificate{root.Server("h").TLS()}}
	return func(s *setup) { s.tls = server }, func(b *bench) *client {
		t.Helper()
		raw := b.dial()
		conn := tls.Client(raw.Conn, &tls.Config{RootCAs: root.Pool(), ServerName: "h"})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		return &client{Conn: conn, t: t, r: bufio.NewReader(conn)}
	}
}

// RFC 9112 section 9.6: a client that is still sending when it is refused gets
// to read the refusal; a TCP reset would take it away.
func TestARefusalIsReadByAClientThatStillSends(t *testing.T) {
	const size = 200 << 10
	send := func(t *testing.T, c *client) {
		c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size))
		if _, err := io.CopyN(c, zeros{}, size); err != nil {
			t.Fatal(err)
		}
		if resp, _ := c.read("POST"); resp.StatusCode != 413 {
			t.Errorf("%s", resp.Status)
		}
		c.ended()
	}
	t.Run("TCP", func(t *testing.T) { send(t, start(t, nil, limited).dial()) })
	t.Run("TLS", func(t *testing.T) {
		change, dial := overTLS(t)
		send(t, dial(start(t, nil, limited, change)))
	})
}

// But it is not listened to for ever.
func TestAClientThatDoesNotStopSendingIsCutOff(t *testing.T) {
	c := start(t, nil, limited).dial()
	c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000000\r\n\r\n")
	c.SetDeadline(time.Now().Add(patience))
	if n, err := io.CopyN(c, zeros{}, 10000000000); err == nil {
		t.Errorf("%d bytes were taken", n)
	}
}

// The client of a connection that ends in peace sees a regular end (RFC 8446
// section 6.1: close_notify), one whose answer broke off does not.
func TestHowATLSConnectionEnds(t *testing.T) {
	change, dial := overTLS(t)
	t.Run("in peace", func(t *testing.T) {
		address, _ := recorder(t, ok)
		c := dial(start(t, []string{address}, change))
		c.exchange(get)
		c.ended()
	})
	t.Run("broken off", func(t *testing.T) {
		read := make(chan bool)
		b := start(t, []string{target(t, func(conn net.Conn) {
			readHead(bufio.NewReader(conn))
			io.WriteString(conn, lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")+"3\r\nabc\r\n")
			<-read
		})}, change)
		c := dial(b)
		c.write(lines("GET / HTTP/1.0"))
		c.head()
		c.expect("abc")
		read <- true
		if rest, err := c.rest(); err == nil {
			t.Errorf("a regular end behind %q", rest)
		}
	})
}

// A connection that rests has no desk, and can do nothing but end or go on.
func TestAConnectionThatRests(t *testing.T) {
	address, got := recorder(t, ok)
	b := start(t, []string{address})
	here, there := net.Pipe()
	defer here.Close()
	here.SetDeadline(time.Now().Add(patience))
	f := http.NewFront(piped{there}, b.client, true)
	x := &http.Terms{Grant: b.grant}
	for i := range 3 {
		f.Rest()
		go io.WriteString(here, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i))
		if came := f.Await(&b.set, patience); came != http.Arrived {
			t.Fatal(came)
		}
		f.Rest() // it may not now
		if ready, denial := f.Next(&b.set); !ready || denial != nil {
			t.Fatal(ready, denial)
		}
		answered := make(chan bool)
		go func() {
			defer close(answered)
			io.ReadFull(here, make([]byte, len(ok)))
		}()
		if res := f.Forward(x); res.Status != 200 || !res.KeepAlive {
			t.Fatalf("%+v", res)
		}
		<-answered
		if h, want := receive(t, got, "the request"), fmt.Sprintf("GET /%d HTTP/1.1", i); h.line() != want {
			t.Errorf("%q, want %q", h.line(), want)
		}
	}
	if came := f.Await(&b.set, time.Millisecond); came != http.Silent {
		t.Error(came)
	}
	f.Rest()
	f.Finish(false)
	if _, err := here.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
}

// What one connection was told does not show on the next that has its desk.
func TestADeskIsLeftClean(t *testing.T) {
	address, got := recorder(t, lines("HTTP/1.1 200 OK", "X-Of-The-First: 1", "Content-Length: 0"), ok)
	b := start(t, []string{address})
	for i := range 2 {
		here, there := net.Pipe()
		here.SetDeadline(time.Now().Add(patience))
		f := http.NewFront(piped{there}, b.client, true)
		request := lines("GET / HTTP/1.1", "Host: h")
		if i == 0 {
			request = lines("GET / HTTP/1.1", "Host: h", "Authorization: x", "Connection: X-Other", "X-Other: y")
		}
		go io.WriteString(here, request)
		f.Next(&b.set)
		go io.Copy(io.Discard, here)
		if res := f.Forward(&http.Terms{Grant: b.grant}); res.Status != 200 {
			t.Fatalf("%+v", res)
		}
		if h := receive(t, got, "the request"); strings.Contains(h.head, "Authorization") != (i == 0) {
			t.Errorf("request %d: %q", i, h.head)
		}
		f.Rest()
		f.Finish(false)
		here.Close()
	}
}
