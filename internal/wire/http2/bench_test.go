package http2

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

// A warmHead is a message that was made into octets before.
type warmHead struct {
	status int
	parts  [][]byte
}

func warmed(m message) *warmHead {
	h := &warmHead{status: m.status}
	for _, v := range append([]string{m.method, m.scheme, m.authority, m.path}, m.fields...) {
		h.parts = append(h.parts, []byte(v))
	}
	return h
}

func (h *warmHead) Encode(e *Encoder) {
	if h.status != 0 {
		e.Status(h.status)
	} else {
		e.Request(h.parts[0], h.parts[1], h.parts[2], h.parts[3], nil)
	}
	for i := 4; i < len(h.parts); i += 2 {
		e.Field(h.parts[i], h.parts[i+1])
	}
}

// A request and a response as a gateway has them.
var (
	warmRequest = warmed(request("GET", "/some/path?with=query", "user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)",
		"accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "accept-encoding", "gzip, deflate, br", "cookie", "session=0123456789abcdef"))
	warmResponse = warmed(response(200, "content-type", "text/html; charset=utf-8", "content-length", "13",
		"date", "Mon, 01 Jan 2029 00:00:00 GMT", "server", "test", "cache-control", "no-store"))
)

var warmBody = []byte("Hello, world!")

func warmHandler(s *Stream) {
	s.WriteHead(warmResponse, More)
	s.Write(warmBody, End, 0)
}

func exchange(b testing.TB, c *party, p []byte) {
	s, err := c.NewStream()
	if err == nil {
		err = s.WriteHead(warmRequest, End)
	}
	if err == nil {
		err = s.ReadHead(patience)
	}
	for err == nil {
		_, err = s.Read(p, patience)
	}
	if err != io.EOF {
		b.Fatal(err)
	}
	s.Close()
}

// BenchmarkExchange is a GET between two of ours over loopback, both sides in
// this process.
func BenchmarkExchange(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprint(n, " at once"), func(b *testing.B) {
			c, _ := pair(b, Config{}, warmHandler)
			b.ReportAllocs()
			b.SetParallelism(n)
			b.RunParallel(func(pb *testing.PB) {
				p := make([]byte, 1<<10)
				for pb.Next() {
					exchange(b, c, p)
				}
			})
		})
	}
}

// BenchmarkExchangeOfGo is the same between net/http's client and server.
func BenchmarkExchangeOfGo(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprint(n, " at once"), func(b *testing.B) {
			rw := goServer(b, func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Content-Type"] = []string{"text/html; charset=utf-8"}
				w.Write([]byte("Hello, world!"))
			})
			client := transport(b, rw.RemoteAddr().String())
			rw.Close()
			b.ReportAllocs()
			b.SetParallelism(n)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := client.Get("http://test.example/some/path?with=query")
					if err != nil {
						b.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		})
	}
}

// BenchmarkDownload is content from one of ours to another over loopback.
func BenchmarkDownload(b *testing.B) {
	const size = 1 << 20
	c, _ := pair(b, Config{}, answer)
	path := fmt.Sprint("/size/", size)
	p := make([]byte, 32<<10)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		s := begin(b, c, request("GET", path), End)
		err := s.ReadHead(patience)
		for err == nil {
			_, err = s.Read(p, patience)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		s.Close()
	}
}
