package http_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"countersign.dev"
)

const (
	wsRequest = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
	wsAnswer  = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"
	wsPassed  = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)

// switched is a target that answers 101 with extra behind it and then hands the
// connection to handle; heads gets what it was asked.
func switched(t *testing.T, extra string, handle func(net.Conn, *bufio.Reader)) (address string, heads chan string) {
	heads = make(chan string, 8)
	return target(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		head, err := readHead(r)
		if err != nil {
			return
		}
		heads <- head
		io.WriteString(conn, wsAnswer+extra)
		handle(conn, r)
	}), heads
}

// echo sends back what comes, then ends its direction.
func echo(conn net.Conn, r *bufio.Reader) {
	io.Copy(conn, r)
	conn.(*net.TCPConn).CloseWrite()
}

// RFC 9110 section 7.8: after 101 the connection is a tunnel. What either side
// sent early goes through.
func TestAnUpgradedConnectionIsATunnel(t *testing.T) {
	address, heads := switched(t, "early from the target;", echo)
	b := start(t, []string{address})
	c := b.dial()
	c.write(wsRequest + "early from the client;")
	c.expect(wsPassed + "early from the target;early from the client;")
	head := <-heads
	for _, want := range []string{"\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nSec-WebSocket-Key: x\r\n"} {
		if strings.Count(head, want) != 1 {
			t.Errorf("the target got %q, want %q in it once", head, want)
		}
	}
	for range 3 {
		c.write("ping\x00\xff")
		c.expect("ping\x00\xff")
	}
	c.tcp().CloseWrite()
	c.ended()
	if res := b.result(); res.Status != 101 || res.Denial != nil || res.KeepAlive {
		t.Errorf("%+v", res)
	}
}

// The end of one direction is not the end of the other.
func TestATunnelHalfCloses(t *testing.T) {
	t.Run("the client first", func(t *testing.T) {
		address, _ := switched(t, "", func(conn net.Conn, r *bufio.Reader) {
			got, _ := io.ReadAll(r)
			conn.Write(append([]byte("heard "), got...))
		})
		c := start(t, []string{address}).dial()
		c.write(wsRequest)
		c.expect(wsPassed)
		c.write("all")
		c.tcp().CloseWrite()
		c.expect("heard all")
		c.ended()
	})
	t.Run("the target first", func(t *testing.T) {
		heard := make(chan string, 1)
		address, _ := switched(t, "bye", func(conn net.Conn, r *bufio.Reader) {
			conn.(*net.TCPConn).CloseWrite()
			got, _ := io.ReadAll(r)
			heard <- string(got)
		})
		c := start(t, []string{address}).dial()
		c.write(wsRequest)
		c.expect(wsPassed + "bye")
		c.ended()
		c.write("still here")
		c.tcp().CloseWrite()
		if got := receive(t, heard, "what the target heard"); got != "still here" {
			t.Errorf("the target heard %q", got)
		}
	})
}

// One side goes away at once: so does the other.
func TestABrokenTunnelEndsOnBothSides(t *testing.T) {
	for _, who := range []string{"client", "target"} {
		t.Run(who, func(t *testing.T) {
			gone := make(chan bool, 1)
			address, _ := switched(t, "", func(conn net.Conn, r *bufio.Reader) {
				if who == "target" {
					conn.(*net.TCPConn).SetLinger(0)
					conn.Close()
				} else {
					io.Copy(io.Discard, r)
				}
				gone <- true
			})
			b := start(t, []string{address})
			c := b.dial()
			c.write(wsRequest)
			c.expect(wsPassed)
			if who == "client" {
				c.tcp().SetLinger(0)
				c.Close()
			} else {
				c.rest()
			}
			receive(t, gone, "the end of the target's connection")
			b.result()
		})
	}
}

// The target need not switch; the connections go on as they were.
func TestARefusedUpgradeIsAnOrdinaryAnswer(t *testing.T) {
	address, got := recorder(t, ok)
	c := start(t, []string{address}).dial()
	c.write(wsRequest + "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	c.expect(ok)
	c.read("GET")
	c.ended()
	first, second := <-got, <-got
	if first.conn != second.conn || second.line() != "GET /next HTTP/1.1" {
		t.Errorf("%+v, then %+v", first, second)
	}
}

// RFC 9110 section 7.8: a server does not switch unasked, nor to what it was not
// asked for.
func TestASwitchThatNobodyAskedForIsABadAnswer(t *testing.T) {
	for _, tt := range []struct{ name, request, answer string }{
		{"unasked", get, wsAnswer},
		{"another protocol", wsRequest, lines("HTTP/1.1 101 X", "Connection: Upgrade", "Upgrade: h2c")},
		{"a second protocol", wsRequest, lines("HTTP/1.1 101 X", "Connection: Upgrade", "Upgrade: websocket, h2c")},
		{"no protocol", wsRequest, lines("HTTP/1.1 101 X", "Connection: Upgrade")},
		{"not in Connection", wsRequest, lines("HTTP/1.1 101 X", "Upgrade: websocket")},
		{"asked with a body", strings.Replace(wsRequest, "Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 1", 1) + "x", wsAnswer},
		{"asked by 1.0", strings.Replace(wsRequest, "HTTP/1.1", "HTTP/1.0", 1), wsAnswer},
		{"asked for h2c", strings.Replace(wsRequest, "websocket", "h2c", 1), strings.Replace(wsAnswer, "websocket", "h2c", 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, _ := recorder(t, tt.answer)
			b := start(t, []string{address})
			if resp, _ := b.dial().exchange(tt.request); resp.StatusCode != 502 {
				t.Errorf("%s, want 502", resp.Status)
			}
			b.ends(countersign.TargetBadResponse)
		})
	}
}

// RFC 9113 section 3.1, and h2c smuggling: a protocol in which requests would
// pass unseen is never asked for on behalf of a client.
func TestHTTPInsideATunnelIsNotAskedFor(t *testing.T) {
	for _, asked := range []string{"h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.0", "tls/1.2", "h2c, websocket", "websocket, h2c", "websocket,h2c", "foo,\tTLS/1.3", ", h2c"} {
		t.Run(asked, func(t *testing.T) {
			address, got := recorder(t, ok)
			start(t, []string{address}).send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: " + asked +
				"\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
			h := <-got
			for _, gone := range []string{"pgrade", "HTTP2-Settings", "h2c"} {
				if strings.Contains(h.head, gone) {
					t.Errorf("the target was asked: %q", h.head)
				}
			}
		})
	}
}

// Upgrade that Connection does not name is not meant for us, nor for the target.
func TestUpgradeHasToBeNamedByConnection(t *testing.T) {
	address, got := recorder(t, ok)
	start(t, []string{address}).send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n")
	if h := <-got; strings.Contains(h.head, "pgrade") {
		t.Errorf("%q", h.head)
	}
}
