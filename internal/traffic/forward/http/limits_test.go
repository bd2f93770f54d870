package http_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// limited allows little of everything.
func limited(s *setup) {
	s.set.Request = http1.Limits{Line: 100, Field: 200, Head: 1000, Count: 20}
	s.set.Body = 10
}

// RFC 9110 sections 15.5.1, 15.5.6, 15.5.14, 15.5.15, 15.6.2, 15.6.6, RFC 6585
// section 5: what is not taken, and that no target hears of it.
func TestRequestsThatAreNotTaken(t *testing.T) {
	many := strings.Repeat("X: y\r\n", 30)
	for _, tt := range []struct {
		name, request string
		status        int
		code          countersign.Code
	}{
		{"a long target", lines("GET /"+strings.Repeat("a", 100)+" HTTP/1.1", "Host: h"), 414, countersign.TargetTooLong},
		{"a long target without an end", "GET /" + strings.Repeat("a", 100), 414, countersign.TargetTooLong},
		{"a long field", lines("GET / HTTP/1.1", "Host: h", "X: "+strings.Repeat("a", 200)), 431, countersign.HeadersTooLarge},
		{"many fields", "GET / HTTP/1.1\r\nHost: h\r\n" + many + "\r\n", 431, countersign.HeadersTooLarge},
		{"a large head", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: "+strings.Repeat("a", 150)+"\r\n", 10) + "\r\n", 431, countersign.HeadersTooLarge},
		{"a large Content-Length", lines("POST / HTTP/1.1", "Host: h", "Content-Length: 11") + "01234567890", 413, countersign.BodyTooLarge},
		{"a large Content-Length, body to come", lines("POST / HTTP/1.1", "Host: h", "Expect: 100-continue", "Content-Length: 11"), 413, countersign.BodyTooLarge},
		{"garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, countersign.BadRequest},
		{"no HTTP", lines("HELO example.com"), 400, countersign.BadRequest},
		{"no version", lines("GET /", "Host: h"), 400, countersign.BadRequest},
		{"no host", lines("GET / HTTP/1.1"), 400, countersign.BadRequest},
		{"two hosts", lines("GET / HTTP/1.1", "Host: a", "Host: b"), 400, countersign.BadRequest},
		{"host and target differ", lines("GET http://a/ HTTP/1.1", "Host: b"), 400, countersign.BadRequest},
		{"a fragment", lines("GET /#a HTTP/1.1", "Host: h"), 400, countersign.BadRequest},
		{"TRACE", lines("TRACE / HTTP/1.1", "Host: h"), 405, countersign.MethodNotAllowed},
		{"trace", lines("trace / HTTP/1.1", "Host: h"), 405, countersign.MethodNotAllowed},
		{"CONNECT", lines("CONNECT h:443 HTTP/1.1", "Host: h:443"), 405, countersign.MethodNotAllowed},
		{"gzip, chunked", lines("POST / HTTP/1.1", "Host: h", "Transfer-Encoding: gzip, chunked"), 501, countersign.NotImplemented},
		{"HTTP/1.2", lines("GET / HTTP/1.2", "Host: h"), 505, countersign.VersionUnsupported},
		{"HTTP/2.0", lines("PRI * HTTP/2.0"), 505, countersign.VersionUnsupported},
		{"HTTP/0.9", lines("GET / HTTP/0.9"), 505, countersign.VersionUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, ok)
			b := start(t, []string{address}, limited)
			c := b.dial()
			c.write(tt.request)
			resp, _ := c.read("GET")
			if resp.StatusCode != tt.status || !resp.Close {
				t.Errorf("%s, close: %t; want %d", resp.Status, resp.Close, tt.status)
			}
			if tt.status == 405 && resp.Header.Get("Allow") == "" {
				t.Error("405 without Allow (RFC 9110 section 15.5.6)")
			}
			b.refused(tt.code)
			c.ended()
			none(t, got, "a target heard of it")
		})
	}
}

// What is just within the limits is taken.
func TestLimitsAreInclusive(t *testing.T) {
	address, got := recorder(t, ok)
	b := start(t, []string{address}, limited)
	line := "POST /" + strings.Repeat("a", 100-len("POST / HTTP/1.1")) + " HTTP/1.1"
	field := "X: " + strings.Repeat("b", 197)
	if answer := b.send(lines(line, "Host: h", field, "Content-Length: 10", "Connection: close") + "0123456789"); !strings.HasSuffix(answer, "ok") {
		t.Fatalf("%q", answer)
	}
	if h := <-got; h.line() != line || !strings.Contains(h.head, field) || h.body != "0123456789" {
		t.Errorf("%+v", h)
	}
}

// The size of a chunked body is known when it is there. 413 comes in the middle
// of it, and the target does not get a whole request.
func TestAChunkedBodyThatGrowsTooLarge(t *testing.T) {
	for _, when := range []string{"at once", "later"} {
		t.Run(when, func(t *testing.T) {
			address, got := recorder(t, ok)
			b := start(t, []string{address}, limited)
			c := b.dial()
			c.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
			if when == "later" {
				c.write("5\r\n01234\r\n")
			}
			c.write("5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n")
			if resp, _ := c.read("POST"); resp.StatusCode != 413 || !resp.Close {
				t.Errorf("%s, close: %t", resp.Status, resp.Close)
			}
			b.ends(countersign.BodyTooLarge)
			c.ended()
			none(t, got, "the target got a whole request")
		})
	}
}

// short makes one of the times short; the others stay longer than any test.
func short(which string) func(*setup) {
	return func(s *setup) {
		const d = 30 * time.Millisecond
		switch which {
		case "headers":
			s.set.Headers = d
		case "idle":
			s.set.Idle = d
		case "wait":
			s.set.Wait = d
		case "connect":
			s.group.ConnectTimeout = d
		}
	}
}

// A connection that says nothing ends without a word (RFC 9112 section 9.5).
func TestAnIdleConnectionIsClosed(t *testing.T) {
	address, _ := recorder(t, ok)
	b := start(t, []string{address}, short("idle"))
	b.dial().ended()
	c := b.dial()
	c.exchange(lines("GET / HTTP/1.1", "Host: h"))
	c.ended()
}

// RFC 9110 section 15.5.9. The time for a head is for all of it: an octet now
// and then does not extend it.
func TestAHeadThatDoesNotEnd(t *testing.T) {
	for name, gap := range map[string]time.Duration{"silence": 0, "drops": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			address, _ := recorder(t, ok)
			b := start(t, []string{address}, short("headers"))
			c := b.dial()
			c.write("GET / HTTP/1.1\r\n")
			stop := make(chan bool)
			stopped := make(chan bool)
			go func() {
				defer close(stopped)
				for gap > 0 {
					select {
					case <-stop:
						return
					case <-time.After(gap):
						io.WriteString(c, "X: y\r\n")
					}
				}
			}()
			if resp, _ := c.read("GET"); resp.StatusCode != 408 || !resp.Close {
				t.Errorf("%s, close: %t", resp.Status, resp.Close)
			}
			close(stop)
			<-stopped
			b.refused(countersign.RequestTimeout)
		})
	}
}

// RFC 9110 section 15.5.9, for the body, whatever the target says or not.
func TestABodyThatDoesNotEnd(t *testing.T) {
	for name, head := range map[string]string{
		"Content-Length": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
		"chunked":        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address, got := recorder(t, ok)
			// The target's time is as short: it is not the target who keeps waiting.
			b := start(t, []string{address}, short("idle"), short("wait"))
			c := b.dial()
			c.write(head)
			if resp, _ := c.read("POST"); resp.StatusCode != 408 || !resp.Close {
				t.Errorf("%s, close: %t", resp.Status, resp.Close)
			}
			b.ends(countersign.RequestTimeout)
			c.ended()
			none(t, got, "the target got a whole request")
		})
	}
}

// RFC 9110 section 15.6.5.
func TestATargetThatDoesNotAnswer(t *testing.T) {
	for name, part := range map[string]string{
		"not a byte":        "",
		"a part of a head":  "HTTP/1.1 200 OK\r\nX: ",
		"an interim answer": lines("HTTP/1.1 103 Early Hints"),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, []string{target(t, func(conn net.Conn) {
				io.WriteString(conn, part)
				io.Copy(io.Discard, conn)
			})}, short("wait"))
			c := b.dial()
			resp, _ := c.exchange(lines("GET / HTTP/1.1", "Host: h"))
			if resp.StatusCode == 103 {
				resp, _ = c.read("GET")
			}
			if resp.StatusCode != 504 || resp.Close {
				t.Errorf("%s, close: %t", resp.Status, resp.Close)
			}
			b.ends(countersign.TargetTimeout)
		})
	}
}

// A target that stops within the body: the client's connection ends there.
func TestATargetThatStopsWithinTheBody(t *testing.T) {
	b := start(t, []string{target(t, func(conn net.Conn) {
		readHead(bufio.NewReader(conn))
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
		io.Copy(io.Discard, conn)
	})}, short("wait"))
	c := b.dial()
	c.write(lines("GET / HTTP/1.1", "Host: h"))
	c.head()
	if rest, _ := c.rest(); rest != "abc" {
		t.Errorf("%q", rest)
	}
	if res := b.ends(countersign.TargetTimeout); !res.Answered || res.Status != 200 {
		t.Errorf("%+v", res)
	}
}

// A target that takes connections but no bytes.
func TestATargetThatDoesNotRead(t *testing.T) {
	over := make(chan bool)
	defer close(over)
	b := start(t, []string{target(t, func(net.Conn) { <-over })}, short("wait"))
	c := b.dial()
	c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
	sent := make(chan bool)
	go func() { defer close(sent); io.CopyN(c, zeros{}, 100000000) }()
	if resp, _ := c.read("POST"); resp.StatusCode != 504 || !resp.Close {
		t.Errorf("%s, close: %t", resp.Status, resp.Close)
	}
	c.Close()
	<-sent
	b.ends(countersign.TargetTimeout)
}

// A target whose queue of connections is full does not even refuse.
func TestATargetThatDoesNotAccept(t *testing.T) {
	syscall.ForkLock.RLock() // not every system has SOCK_CLOEXEC
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for full := false; !full; {
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if full = err != nil; !full {
			defer conn.Close()
		}
	}
	b := start(t, []string{address}, short("connect"))
	if resp, _ := b.dial().exchange(get); resp.StatusCode != 504 {
		t.Errorf("%s", resp.Status)
	}
	b.ends(countersign.TargetTimeout)
}

// A client that does not read its answer is given up.
func TestAClientThatDoesNotRead(t *testing.T) {
	b := start(t, []string{target(t, func(conn net.Conn) {
		readHead(bufio.NewReader(conn))
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
		io.CopyN(conn, zeros{}, 1000000000)
	})}, short("idle"))
	b.dial().write(get)
	if res := b.ends(countersign.ClientClosed); !res.Answered {
		t.Errorf("%+v", res)
	}
}

// An answer that keeps coming keeps the connection, though the client has
// paused its body; a tunnel lives while either direction moves.
func TestOneDirectionThatMovesIsEnough(t *testing.T) {
	const parts, idle = 10, 100 * time.Millisecond
	for name, tt := range map[string]struct{ request, answer string }{
		"exchange": {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", lines("HTTP/1.1 200 OK", "Content-Length: 10")},
		"tunnel":   {wsRequest, wsAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			// A run in which the test itself could not keep the connection moving
			// says nothing, so it is repeated.
			for range 5 {
				var late atomic.Bool
				b := start(t, []string{target(t, func(conn net.Conn) {
					readHead(bufio.NewReader(conn))
					io.WriteString(conn, tt.answer)
					for range parts { // twice the idle timeout
						last := time.Now()
						time.Sleep(idle / 5)
						io.WriteString(conn, "a")
						if time.Since(last) > idle/2 {
							late.Store(true)
						}
					}
				})}, func(s *setup) { s.set.Idle = idle })
				c := b.dial()
				c.write(tt.request)
				c.head()
				got := make([]byte, parts)
				_, err := io.ReadFull(c.r, got)
				if err == nil {
					return
				}
				if !late.Load() {
					t.Fatalf("%q, %v", got, err)
				}
			}
			t.Error("the machine was too busy, five times in a row, to keep a connection moving")
		})
	}
}

// A tunnel in which nothing moves ends.
func TestAnIdleTunnelIsClosed(t *testing.T) {
	ended := make(chan bool)
	address, _ := switched(t, "", func(conn net.Conn, r *bufio.Reader) {
		io.Copy(io.Discard, r)
		close(ended)
	})
	c := start(t, []string{address}, short("idle")).dial()
	c.write(wsRequest)
	c.expect(wsPassed)
	c.rest()
	receive(t, ended, "the end of the target's connection")
}
