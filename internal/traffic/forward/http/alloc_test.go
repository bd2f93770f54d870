package http_test

import (
	"io"
	"net"
	"testing"
)

// A keep-alive request allocates nothing: neither in the engine nor in what it
// stands on. The client and the target here do not allocate either, so that
// the count is the engine's.
func TestAKeepAliveRequestAllocatesNothing(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 22 Nov 2026 03:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"
	b := start(t, []string{target(t, func(conn net.Conn) {
		buf, answer := make([]byte, 8<<10), []byte(answer)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	})})
	conn := b.dial()
	request := []byte("GET /x?y=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n")
	buf := make([]byte, len(answer))
	exchange := func() {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // buffers and pools reach their size
		exchange()
	}
	if n := testing.AllocsPerRun(500, exchange); n > 0 {
		t.Errorf("%v allocations per request, want none", n)
	}
}
