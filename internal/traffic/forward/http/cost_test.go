package http_test

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"countersign.dev/internal/traffic/forward/http"
)

// A counted connection counts the calls that cost a system call each.
type counted struct {
	http.Conn
	reads, writes *atomic.Int64
}

func (c counted) Read(p []byte) (int, error)  { c.reads.Add(1); return c.Conn.Read(p) }
func (c counted) Write(p []byte) (int, error) { c.writes.Add(1); return c.Conn.Write(p) }

// A small exchange costs one read and one write on either side (ARCHITECTURE.md,
// "The hot path"): head and body leave together.
func TestASmallExchangeIsOneReadAndOneWrite(t *testing.T) {
	const rounds = 20
	for _, tt := range []struct{ name, request, answer, want string }{
		{"GET", lines("GET / HTTP/1.1", "Host: h"), ok, ok},
		{"POST", lines("POST / HTTP/1.1", "Host: h", "Content-Length: 3") + "abc", ok, ok},
		{"chunks", lines("POST / HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n",
			lines("HTTP/1.1 200 OK", date, "Transfer-Encoding: chunked") + "2\r\nok\r\n0\r\n\r\n",
			lines("HTTP/1.1 200 OK", date, "Transfer-Encoding: chunked") + "2\r\nok\r\n0\r\n\r\n"},
		{"a body of 20 KiB", lines("GET / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 200 OK", date, "Content-Length: 20480") + strings.Repeat("x", 20480),
			lines("HTTP/1.1 200 OK", date, "Content-Length: 20480") + strings.Repeat("x", 20480)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var reads, writes, segments atomic.Int64
			b := start(t, []string{target(t, func(conn net.Conn) {
				buf := make([]byte, 64<<10)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					segments.Add(1)
					io.WriteString(conn, tt.answer)
				}
			})}, func(s *setup) {
				s.wrap = func(c http.Conn) http.Conn { return counted{Conn: c, reads: &reads, writes: &writes} }
			})
			c := b.dial()
			for range rounds {
				c.write(tt.request)
				c.expect(tt.want)
				b.result()
			}
			// One more read waits for the next request.
			if r, w, s := reads.Load(), writes.Load(), segments.Load(); r > rounds+1 || w != rounds || s != rounds {
				t.Errorf("%d exchanges: %d reads and %d writes at the client, %d writes to the target", rounds, r, w, s)
			}
		})
	}
}
