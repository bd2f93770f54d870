package http1

import (
	"bytes"
	"strings"
	"testing"
)

const typicalRequest = "GET /v1/devices/0123456789/telemetry?since=2024-01-01 HTTP/1.1\r\n" +
	"Host: api.example.com:8443\r\n" +
	"User-Agent: device-agent/4.2 (linux; arm64)\r\n" +
	"Accept: application/json\r\n" +
	"Accept-Encoding: gzip, deflate\r\n" +
	"Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJkZXZpY2UtMSJ9.c2lnbmF0dXJl\r\n" +
	"X-Request-Id: 7f3c1c2e-6a0e-4f5e-9a53-0d1f6f1f2a11\r\n" +
	"Content-Type: application/json\r\n" +
	"Connection: keep-alive\r\n" +
	"\r\n"

const typicalResponse = "HTTP/1.1 200 OK\r\n" +
	"Server: nginx/1.26.2\r\n" +
	"Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n" +
	"Content-Type: application/json; charset=utf-8\r\n" +
	"Content-Length: 1234\r\n" +
	"Cache-Control: no-store\r\n" +
	"Vary: Accept-Encoding\r\n" +
	"ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n" +
	"\r\n"

func typicalChunks() []byte {
	var b []byte
	for _, size := range []int{1, 100, 4000, 8192} {
		b = AppendChunkHeader(b, size)
		b = append(b, strings.Repeat("x", size)...)
		b = append(b, ChunkEnd...)
	}
	return append(b, LastChunk...)
}

// hop asks what a forwarder asks of each field.
func hop(r *Request) (n int) {
	for i := range r.Fields {
		if r.Hop(&r.Fields[i]) {
			n++
		}
	}
	return n
}

func TestNoAllocationPerMessage(t *testing.T) {
	req, upgrade, resp, chunks := []byte(typicalRequest), []byte(strings.Replace(typicalRequest, "keep-alive", "keep-alive, upgrade, x-request-id\r\nUpgrade: websocket", 1)), []byte(typicalResponse), typicalChunks()
	method := []byte("GET")
	var r Request
	var p Response
	var c Chunks
	for _, tt := range []struct {
		name string
		f    func()
	}{
		{"request", func() {
			if _, err := r.Parse(req, Limits{}); err != nil || hop(&r) != 1 {
				t.Fatal(err)
			}
		}},
		{"request with fields named by Connection", func() {
			if _, err := r.Parse(upgrade, Limits{}); err != nil || hop(&r) != 3 {
				t.Fatal(err)
			}
		}},
		{"request in two parts", func() {
			if _, err := r.Parse(req[:200], Limits{}); err != ErrIncomplete {
				t.Fatal(err)
			}
			if _, err := r.Parse(req, Limits{}); err != nil {
				t.Fatal(err)
			}
		}},
		{"response", func() {
			if _, err := p.Parse(resp, Limits{}, method); err != nil {
				t.Fatal(err)
			}
		}},
		{"chunked body", func() {
			c.Reset()
			for in := chunks; ; {
				_, n, done, err := c.Next(in)
				if err != nil {
					t.Fatal(err)
				}
				if in = in[n:]; done {
					break
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, tt.f); n != 0 {
				t.Errorf("%v allocations, want none", n)
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	buf := []byte(typicalRequest)
	var r Request
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Parse(buf, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	buf, method := []byte(typicalResponse), []byte("GET")
	var p Response
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Parse(buf, Limits{}, method); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequestByteByByte reads a head that is 60 KiB long, one octet more
// each time: quadratic work would take minutes.
func BenchmarkRequestByteByByte(b *testing.B) {
	buf := []byte("GET / HTTP/1.1\r\nHost: h\r\n")
	for len(buf) < 60<<10 {
		buf = append(buf, "X: "...)
		buf = append(buf, bytes.Repeat([]byte{'y'}, 1000)...)
		buf = append(buf, '\r', '\n')
	}
	buf = append(buf, '\r', '\n')
	var r Request
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		for i := 1; i < len(buf); i++ {
			if _, err := r.Parse(buf[:i], Limits{}); err != ErrIncomplete {
				b.Fatal(err)
			}
		}
		if _, err := r.Parse(buf, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	buf := typicalChunks()
	var c Chunks
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		c.Reset()
		for in := buf; ; {
			_, n, done, err := c.Next(in)
			if err != nil {
				b.Fatal(err)
			}
			if in = in[n:]; done {
				break
			}
		}
	}
}
