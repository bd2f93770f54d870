package http_test

import (
	"io"
	"net"
	"testing"
)

const date = "Date: Sun, 22 Nov 2026 03:00:00 GMT"

// A keep-alive request allocates nothing: neither in the engine nor in what it
// stands on. The client and the target here do not allocate either, so that
// the count is the engine's. What remains over TLS is crypto/tls's own: one
// atLeastReader for each record that is read, here by the engine and by the client.
func TestAKeepAliveRequestAllocatesNothing(t *testing.T) {
	fields := "Host: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nX-Forwarded-For: 10.0.0.1\r\n"
	chunked := lines("HTTP/1.1 200 OK", date, "Transfer-Encoding: chunked") + "2\r\nok\r\n0\r\n\r\n"
	for _, tt := range []struct {
		name, request, answer string
		tls                   bool
	}{
		{"GET", "GET /x?y=1 HTTP/1.1\r\n" + fields + "\r\n", ok, false},
		{"POST", "POST /x?y=1 HTTP/1.1\r\n" + fields + "Content-Length: 3\r\n\r\nabc", ok, false},
		{"chunks both ways", "POST /x?y=1 HTTP/1.1\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", chunked, false},
		{"fields that do not pass", "GET / HTTP/1.1\r\n" + fields + "Connection: X-Hop\r\nX-Hop: 1\r\nClient-Cert: x\r\nX_Forwarded_For: 1\r\n\r\n", ok, false},
		{"GET over TLS", "GET /x?y=1 HTTP/1.1\r\n" + fields + "\r\n", ok, true},
		{"POST over TLS", "POST /x?y=1 HTTP/1.1\r\n" + fields + "Content-Length: 3\r\n\r\nabc", ok, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.tls && raceEnabled {
				t.Skip("the race detector drops what pools keep")
			}
			backend := target(t, func(conn net.Conn) {
				buf, answer := make([]byte, 8<<10), []byte(tt.answer)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			})
			var c *client
			if tt.tls {
				change, dial := overTLS(t)
				c = dial(start(t, []string{backend}, change))
			} else {
				c = start(t, []string{backend}).dial()
			}
			request, buf := []byte(tt.request), make([]byte, len(tt.answer))
			exchange := func() {
				if _, err := c.Write(request); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c.Conn, buf); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 { // buffers and pools reach their size
				exchange()
			}
			want := 0.0
			if tt.tls {
				want = 2
			}
			if n := testing.AllocsPerRun(500, exchange); n > want {
				t.Errorf("%v allocations per request, want %v", n, want)
			}
		})
	}
}
