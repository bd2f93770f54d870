package http2

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/internal/wire/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is what a test waits for something that has to come.
const patience = 20 * time.Second

// A message is a Head of pseudo-fields and pairs of names and values.
type message struct {
	status                          int
	method, scheme, authority, path string
	fields                          []string
}

func (m message) Encode(e *Encoder) {
	switch {
	case m.status != 0:
		e.Status(m.status)
	case m.method != "":
		e.Request([]byte(m.method), []byte(m.scheme), []byte(m.authority), []byte(m.path), nil)
	}
	for i := 0; i < len(m.fields); i += 2 {
		e.Field([]byte(m.fields[i]), []byte(m.fields[i+1]))
	}
}

func response(status int, fields ...string) message { return message{status: status, fields: fields} }
func trailers(fields ...string) message             { return message{fields: fields} }
func request(method, path string, fields ...string) message {
	return message{method: method, scheme: "http", authority: "test.example", path: path, fields: fields}
}

// A party is one end of a connection, served until it ends.
type party struct {
	*Conn
	rw    net.Conn
	ended chan struct{}
	err   error // of Serve, after ended
	owned sync.WaitGroup
}

// serve starts a Conn over rw; handle owns each request, on a goroutine of its
// own, and closes it.
func serve(rw net.Conn, config Config, handle func(*Stream)) *party {
	p := &party{Conn: New(rw, config), rw: rw, ended: make(chan struct{})}
	go func() {
		for {
			p.err = p.Serve(time.Second, func(s *Stream) {
				p.owned.Go(func() {
					defer s.Close()
					handle(s)
				})
			})
			if p.err != ErrSilent {
				break
			}
			p.Rest()
		}
		p.owned.Wait()
		rw.Close()
		close(p.ended)
	}()
	return p
}

// stop ends the party's connection and waits for it.
func (p *party) stop() {
	p.Abort()
	<-p.ended
}

// result waits for the end of the connection, and returns what Serve did.
func (p *party) result(t testing.TB) error {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("the connection does not end")
	}
	return p.err
}

// listen serves all connections to a loopback address until the test ends.
func listen(t testing.TB, config Config, handle func(*Stream)) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var parties []*party
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			rw, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			parties = append(parties, serve(rw, config, handle))
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-accepting
		for _, p := range parties {
			p.stop()
		}
	})
	return l.Addr().String()
}

// sockets returns both ends of a connection.
func sockets(t testing.TB) (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// pair returns two parties that talk with each other.
func pair(t testing.TB, config Config, handle func(*Stream)) (client, server *party) {
	a, b := sockets(t)
	server = serve(b, config, handle)
	config.Client = true
	client = serve(a, config, nil)
	t.Cleanup(func() { client.stop(); server.stop() })
	return client, server
}

// answer is a handler that tells what it was sent: "/echo" sends the content
// back with its trailers, "/size/N" sends N octets, everything else the path.
func answer(s *Stream) {
	switch path := string(s.Request.Path); {
	case s.Fault != nil && s.Malformed:
		s.Reset(1)
	case s.Fault != nil:
		s.WriteHead(response(s.Fault.Status), End)
	case path == "/echo":
		echo(s)
	case len(path) > len("/size/") && path[:len("/size/")] == "/size/":
		n, _ := strconv.Atoi(path[len("/size/"):])
		s.WriteHead(response(200, "Content-Length", strconv.Itoa(n)), More)
		p := make([]byte, 32<<10)
		for n > len(p) {
			if s.Write(p, 0, patience) != nil {
				return
			}
			n -= len(p)
		}
		s.Write(p[:n], End, patience)
	default:
		if _, err := readAll(s); err != nil {
			return
		}
		s.WriteHead(response(200, "Content-Type", "text/plain"), More)
		if path == "/" {
			path = "the root of all" // h2spec wants a few octets
		}
		s.Write([]byte(path), End, patience)
	}
}

func echo(s *Stream) {
	s.WriteHead(response(200), 0)
	p := make([]byte, 8<<10)
	for {
		n, err := s.Read(p, patience)
		switch {
		case err == nil:
			if s.Write(p[:n], 0, patience) != nil {
				return
			}
			continue
		case err != io.EOF:
			return
		}
		if t := s.Trailers(); len(t) > 0 {
			s.WriteHead(fieldsOf(t), End)
		} else {
			s.Write(nil, End, patience)
		}
		return
	}
}

type fieldsOf []http1.Field

func (f fieldsOf) Encode(e *Encoder) {
	for i := range f {
		e.Field(f[i].Name, f[i].Value)
	}
}

// readAll reads content to its end.
func readAll(s *Stream) ([]byte, error) {
	var all []byte
	p := make([]byte, 8<<10)
	for {
		n, err := s.Read(p, patience)
		all = append(all, p[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// begin sends a request head.
func begin(t testing.TB, c *party, m message, f Flag) *Stream {
	t.Helper()
	s, err := c.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WriteHead(m, f); err != nil {
		t.Fatal(err)
	}
	return s
}

// get is a whole exchange without content.
func get(t testing.TB, c *party, path string) (status int, body string) {
	t.Helper()
	s := begin(t, c, request("GET", path), End)
	defer s.Close()
	if err := s.ReadHead(patience); err != nil {
		t.Fatal(err)
	}
	b, err := readAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return s.Response.Status, string(b)
}

// isTimeout reports whether err says that patience is over.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
