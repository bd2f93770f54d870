package http2

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// transport is net/http's client, over plain TCP to address.
func transport(t testing.TB, address string) *http.Client {
	tr := &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, _ string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestGoClientsAreServed(t *testing.T) {
	client := transport(t, listen(t, Config{}, answer))
	t.Run("GET", func(t *testing.T) {
		resp, err := client.Get("http://test.example/some/path?q")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "/some/path" || resp.ProtoMajor != 2 {
			t.Errorf("%q, %v, %s", b, err, resp.Proto)
		}
	})
	t.Run("POST with trailers", func(t *testing.T) {
		body := bytes.Repeat([]byte("0123456789"), 200<<10)
		req, _ := http.NewRequest("POST", "http://test.example/echo", io.MultiReader(bytes.NewReader(body)))
		req.Trailer = http.Header{"X-Sum": []string{"42"}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(b, body) {
			t.Errorf("%d octets came back, %v, expected %d", len(b), err, len(body))
		}
		if v := resp.Trailer.Get("X-Sum"); v != "42" {
			t.Errorf("the trailer is %q", v)
		}
	})
	t.Run("a large download", func(t *testing.T) {
		resp, err := client.Get("http://test.example/size/20000000")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 20000000 {
			t.Errorf("%d octets, %v", n, err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				body := strings.Repeat("x", i*100)
				resp, err := client.Post("http://test.example/echo", "", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if b, err := io.ReadAll(resp.Body); err != nil || string(b) != body {
					t.Errorf("%d octets came back, %v, expected %d", len(b), err, len(body))
				}
			})
		}
		wg.Wait()
	})
	t.Run("a large head", func(t *testing.T) {
		req, _ := http.NewRequest("GET", "http://test.example/", nil)
		for i := range 40 {
			req.Header.Set(fmt.Sprintf("X-%d", i), strings.Repeat("v", 1000))
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	t.Run("a head that is too large", func(t *testing.T) {
		req, _ := http.NewRequest("GET", "http://test.example/", nil)
		req.Header.Set("X-Large", strings.Repeat("v", 20<<10))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 431 {
			t.Errorf("status %d, expected 431", resp.StatusCode)
		}
	})
}

// goServer is net/http's server, over plain TCP.
func goServer(t testing.TB, h http.HandlerFunc) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h2c.NewHandler(h, &http2.Server{})}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); wg.Wait() })
	rw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return rw
}

func TestGoServersAreAsked(t *testing.T) {
	rw := goServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			io.Copy(w, r.Body)
			w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
		case "/early":
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			w.WriteHeader(204)
		case "/size":
			w.Write(make([]byte, 20000000))
		default:
			fmt.Fprint(w, r.Host, r.URL.Path, r.Header.Get("X-A"))
		}
	})
	c := serve(rw, Config{Client: true}, nil)
	defer c.stop()
	t.Run("GET", func(t *testing.T) {
		if status, body := get(t, c, "/a/b"); status != 200 || body != "test.example/a/b" {
			t.Errorf("%d %q", status, body)
		}
	})
	t.Run("POST with trailers", func(t *testing.T) {
		body := bytes.Repeat([]byte("0123456789"), 200<<10)
		s := begin(t, c, request("POST", "/echo", "Trailer", "X-Sum", "X-A", "b"), 0)
		defer s.Close()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Write(body, More, patience); err != nil {
				t.Error(err)
			}
			if err := s.WriteHead(trailers("X-Sum", "42"), End); err != nil {
				t.Error(err)
			}
		})
		if err := s.ReadHead(patience); err != nil {
			t.Fatal(err)
		}
		if b, err := readAll(s); err != nil || !bytes.Equal(b, body) {
			t.Errorf("%d octets came back, %v, expected %d", len(b), err, len(body))
		}
		if tr := s.Trailers(); len(tr) != 1 || string(tr[0].Value) != "42" {
			t.Errorf("the trailers are %v", tr)
		}
		wg.Wait()
	})
	t.Run("interim responses", func(t *testing.T) {
		s := begin(t, c, request("GET", "/early"), End)
		defer s.Close()
		for _, want := range []int{103, 204} {
			if err := s.ReadHead(patience); err != nil || s.Response.Status != want {
				t.Fatalf("%d %v, expected %d", s.Response.Status, err, want)
			}
		}
		if err := s.ReadHead(patience); err != io.EOF {
			t.Errorf("%v behind the final head, expected EOF", err)
		}
	})
	t.Run("a large download", func(t *testing.T) {
		if _, body := get(t, c, "/size"); len(body) != 20000000 {
			t.Errorf("%d octets", len(body))
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				path := fmt.Sprint("/", i)
				if status, body := get(t, c, path); status != 200 || body != "test.example"+path {
					t.Errorf("%d %q", status, body)
				}
			})
		}
		wg.Wait()
	})
}

func TestBothSidesAreOurs(t *testing.T) {
	c, _ := pair(t, Config{}, answer)
	for range 3 {
		if status, body := get(t, c, "/x"); status != 200 || body != "/x" {
			t.Errorf("%d %q", status, body)
		}
	}
	if _, body := get(t, c, "/size/5000000"); len(body) != 5000000 {
		t.Errorf("%d octets", len(body))
	}
}
