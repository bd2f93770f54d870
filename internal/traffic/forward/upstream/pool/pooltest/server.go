// Package pooltest has the other end of connections to targets, for tests.
package pooltest

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/traffic/socket"
)

// patience bounds every wait for an event that must come.
const patience = 10 * time.Second

// A Server accepts connections and hands them to the test.
type Server struct {
	Address string // host:port
	conns   chan net.Conn
	other   []net.Conn // accepted, and not asked for yet
}

// NewServer returns one that ends with the test.
func NewServer(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: l.Addr().String(), conns: make(chan net.Conn, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- c
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		close(s.conns)
		for c := range s.conns {
			c.Close()
		}
	})
	return s
}

// Accept returns the other end of the connection dialed next.
func (s *Server) Accept(t testing.TB) net.Conn {
	t.Helper()
	select {
	case c := <-s.conns:
		t.Cleanup(func() { c.Close() })
		return c
	case <-time.After(patience):
		t.Fatal("nobody connects")
		return nil
	}
}

// A Dialed is one end of a connection, as pool.Conn has it.
type Dialed interface{ Net() socket.Conn }

// Peer returns the other end of c. Connections are accepted in no order: the kernel
// takes its time with one on which nothing is written at once.
func (s *Server) Peer(t testing.TB, c Dialed) net.Conn {
	t.Helper()
	at := c.Net().LocalAddr().String()
	for {
		for i, p := range s.other {
			if p.RemoteAddr().String() == at {
				s.other = slices.Delete(s.other, i, i+1)
				return p
			}
		}
		s.other = append(s.other, s.Accept(t))
	}
}

// Closed waits until the other end of c has closed.
func Closed(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Fatalf("read %d bytes, %v; want the connection closed", n, err)
	}
}

// A Conn is what Open writes to, as pool.Conn has it.
type Conn interface {
	io.Writer
	ArmWrite(now time.Time, d time.Duration) error
}

// Open fails the test if c does not carry a byte to peer.
func Open(t testing.TB, c Conn, peer net.Conn) {
	t.Helper()
	if err := c.ArmWrite(time.Now(), patience); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	peer.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
