package http_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"countersign.dev"
)

// noise returns n bytes that do not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// chunks writes body in chunks of a few sizes.
func chunks(w io.Writer, body []byte) {
	out := bufio.NewWriterSize(w, 64<<10)
	for i := 0; len(body) > 0; i++ {
		n := min(len(body), []int{1, 15, 4096, 40000, 100000}[i%5])
		fmt.Fprintf(out, "%x\r\n", n)
		out.Write(body[:n])
		out.WriteString("\r\n")
		body = body[n:]
	}
	out.WriteString("0\r\n\r\n")
	out.Flush()
}

// Large bodies arrive as they were sent, both ways at once, however framed.
func TestLargeBodiesArriveIntact(t *testing.T) {
	body := noise(10 << 20)
	sum := sha256.Sum256(body)
	address := server(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || sha256.Sum256(got) != sum {
			nethttp.Error(w, fmt.Sprintf("got %d bytes, %v", len(got), err), 400)
			return
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.Write(body)
	})
	b := start(t, []string{address})
	c := b.dial()
	for _, path := range []string{"/length", "/chunked", "/length"} { // one connection
		go func() {
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: h\r\n", path)
			if path == "/length" {
				fmt.Fprintf(c, "Content-Length: %d\r\n\r\n", len(body))
				c.Write(body)
			} else {
				io.WriteString(c, "Transfer-Encoding: chunked\r\n\r\n")
				chunks(c, body)
			}
		}()
		resp, got := c.read("POST")
		if resp.StatusCode != 200 || sha256.Sum256([]byte(got)) != sum {
			t.Fatalf("%s: %s, %d bytes: %.100q", path, resp.Status, len(got), got)
		}
		if resp.Close {
			t.Errorf("%s: the connection was closed behind an exchange that went well", path)
		}
		if res := b.result(); res.Denial != nil {
			t.Error(res.Denial)
		}
	}
}

// An exchange that went well leaves both connections as they were, whichever of
// two things is noticed first: that the last of the body is on its way, or that
// the answer is there.
func TestALargeBodyDoesNotCostTheConnection(t *testing.T) {
	address, got := recorder(t, ok)
	b := start(t, []string{address})
	c := b.dial()
	body := strings.Repeat("x", 50000)
	for i := range 100 {
		c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		c.expect(ok) // in which nothing says close
		if h := <-got; h.conn != 1 || h.body != body {
			t.Fatalf("request %d came over connection %d with %d bytes", i, h.conn, len(h.body))
		}
	}
}

// stalls writes to w until that has not been possible for a while, and returns
// how much was taken: what the buffers between w and a party that does not read
// can hold. The test's verdict is the amount, not the time.
func stalls(w net.Conn) (taken int) {
	buf := make([]byte, 64<<10)
	for {
		w.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := w.Write(buf)
		if taken += n; err != nil || taken > 256<<20 {
			return taken
		}
	}
}

// A party that does not read stops the other one from writing: what it has sent
// is in the buffers of two sockets (a few MiB at most) and in one of ours.
func TestWhoDoesNotReadHoldsTheOtherUp(t *testing.T) {
	const most = 64 << 20
	t.Run("client", func(t *testing.T) {
		taken := make(chan int, 1)
		b := start(t, []string{target(t, func(conn net.Conn) {
			readHead(bufio.NewReader(conn))
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
			taken <- stalls(conn)
		})})
		c := b.dial()
		c.write(get)
		if n := receive(t, taken, "the target to be held up"); n > most {
			t.Errorf("the target could write %d bytes that nobody read", n)
		}
		c.Close()
		b.result()
	})
	t.Run("target", func(t *testing.T) {
		over := make(chan bool)
		b := start(t, []string{target(t, func(conn net.Conn) {
			<-over
		})})
		c := b.dial()
		c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000000\r\n\r\n")
		if n := stalls(c); n > most {
			t.Errorf("the client could write %d bytes that nobody read", n)
		}
		close(over)
		c.Close()
		b.result()
	})
}

// RFC 9112 section 9.5: a target may answer before it has read the body. The
// client gets the answer, and the connection ends, for nobody reads the rest.
func TestAnEarlyAnswerIsDelivered(t *testing.T) {
	for _, closes := range []bool{false, true} {
		t.Run(fmt.Sprintf("the target closes: %t", closes), func(t *testing.T) {
			over := make(chan bool)
			b := start(t, []string{target(t, func(conn net.Conn) {
				readHead(bufio.NewReader(conn))
				io.WriteString(conn, lines("HTTP/1.1 403 Forbidden", "Content-Length: 2")+"no")
				if !closes {
					<-over // without reading
				}
			})})
			defer close(over)
			c := b.dial()
			c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
			sent := make(chan bool)
			go func() {
				defer close(sent)
				io.CopyN(c, zeros{}, 100000000) // fails when the engine has had enough
			}()
			resp, body := c.read("POST")
			if resp.StatusCode != 403 || body != "no" || !resp.Close {
				t.Errorf("%s %q, close: %t", resp.Status, body, resp.Close)
			}
			c.Close()
			<-sent
			if res := b.result(); res.Status != 403 || !res.Unread || res.KeepAlive {
				t.Errorf("%+v", res)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Request and response bodies may flow at the same time, in lockstep even.
func TestBodiesFlowBothWaysAtOnce(t *testing.T) {
	for _, framing := range []string{"chunked", "until close"} {
		t.Run(framing, func(t *testing.T) {
			b := start(t, []string{target(t, func(conn net.Conn) {
				r := bufio.NewReader(conn)
				readHead(r)
				if framing == "chunked" {
					io.WriteString(conn, lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"))
				} else {
					io.WriteString(conn, lines("HTTP/1.1 200 OK"))
				}
				for {
					size, err := r.ReadString('\n')
					if err != nil {
						return
					}
					data, _ := r.ReadString('\n')
					if framing == "chunked" {
						io.WriteString(conn, size+data)
					} else {
						io.WriteString(conn, strings.TrimSuffix(data, "\r\n"))
					}
					if size == "0\r\n" {
						return
					}
				}
			})})
			c := b.dial()
			c.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
			c.head()
			c.expect("1\r\na\r\n")
			for range 5 {
				c.write("3\r\nabc\r\n")
				c.expect("3\r\nabc\r\n")
			}
			c.write("0\r\n\r\n")
			c.expect("0\r\n\r\n")
			c.ended()
		})
	}
}

// A target that dies within the body, or sends what is no body, must not leave
// the client with an answer that looks complete (RFC 9112 section 8).
func TestABrokenOffAnswerNeverLooksWhole(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name, answer string
		reset        bool
		code         countersign.Code
	}{
		{"Content-Length, closed", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", false, countersign.TargetClosed},
		{"Content-Length, reset", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true, countersign.TargetClosed},
		{"Content-Length, nothing", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, countersign.TargetClosed},
		{"chunked, closed", chunked + "3\r\nabc\r\n", false, countersign.TargetClosed},
		{"chunked, closed in the middle of a chunk", chunked + "5\r\nabc", false, countersign.TargetClosed},
		{"chunked, closed before the end of the trailer", chunked + "3\r\nabc\r\n0\r\nX: y\r\n", false, countersign.TargetClosed},
		{"chunked, not well-formed", chunked + "3\r\nabc\r\nxyz\r\n", false, countersign.TargetBadResponse},
		{"chunked, bare LF", chunked + "3\nabc\n0\n\n", false, countersign.TargetBadResponse},
		{"until close, reset", "HTTP/1.1 200 OK\r\n\r\nabc", true, countersign.TargetClosed},
	} {
		for _, version := range []string{"1.1", "1.0"} {
			t.Run(tt.name+" "+version, func(t *testing.T) {
				read := make(chan bool, 1)
				b := start(t, []string{target(t, func(conn net.Conn) {
					readHead(bufio.NewReader(conn))
					io.WriteString(conn, tt.answer)
					if tt.reset {
						<-read // the client has what there is
						conn.(*net.TCPConn).SetLinger(0)
					}
				})})
				c := b.dial()
				c.write(lines("GET / HTTP/"+version, "Host: h"))
				if tt.reset {
					c.head()
					c.r.ReadByte()
					read <- true
					rest, err := c.rest()
					// The end of the connection alone must not be the end of the body.
					if byClose := version == "1.0" && !strings.Contains(tt.answer, "Length"); byClose && err == nil || strings.HasSuffix(rest, "0\r\n\r\n") {
						t.Errorf("a regular end behind %q", rest)
					}
				} else if resp, err := nethttp.ReadResponse(c.r, nil); err == nil {
					if body, err := io.ReadAll(resp.Body); err == nil {
						t.Errorf("a whole answer: %q", body)
					}
				}
				if res := b.ends(tt.code); !res.Answered || res.KeepAlive {
					t.Errorf("%+v", res)
				}
			})
		}
	}
}

// A body that ends early is the client's fault, and is no whole request.
func TestAClientThatClosesWithinTheBody(t *testing.T) {
	for name, request := range map[string]string{
		"Content-Length": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
		"chunked":        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			address, got := recorder(t, ok)
			b := start(t, []string{address})
			c := b.dial()
			c.write(request)
			c.tcp().CloseWrite()
			b.ends(countersign.ClientClosed)
			c.ended()
			none(t, got, "the target got a whole request")
		})
	}
}

// Bytes are counted as they travel, heads and framing included.
func TestBytesAreCounted(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 100000)
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	address, _ := recorder(t, ok)
	b := start(t, []string{address})
	c := b.dial()
	c.write(request + get)
	f := <-b.fronts
	c.read("POST")
	b.result()
	c.read("GET")
	c.ended()
	b.result()
	if f.Received() != int64(len(get)) || f.Sent() != int64(len(ok)+len("Connection: close\r\n")) {
		t.Errorf("received %d, sent %d; want %d and %d", f.Received(), f.Sent(), len(get), len(ok)+len("Connection: close\r\n"))
	}
}
