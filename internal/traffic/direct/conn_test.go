package direct_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/direct"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns both ends of a TCP connection on loopback, ours wrapped.
func pair(t testing.TB) (ours net.Conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours = direct.Wrap(out)
	t.Cleanup(func() { ours.Close(); in.Close() })
	return ours, in.(*net.TCPConn)
}

// 16 MiB each way at once: more than the buffers of the sockets hold, so that
// both directions have to wait.
func TestManyBytesBothWays(t *testing.T) {
	ours, peer := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	var got [2][]byte
	var all sync.WaitGroup
	for i, c := range []net.Conn{ours, peer} {
		all.Go(func() {
			if n, err := c.Write(sent); n != len(sent) || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
			c.(interface{ CloseWrite() error }).CloseWrite()
		})
		all.Go(func() {
			var err error
			if got[i], err = io.ReadAll(c); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if !bytes.Equal(got[0], sent) || !bytes.Equal(got[1], sent) {
		t.Errorf("%d and %d bytes arrived, or not those sent", len(got[0]), len(got[1]))
	}
	if n, err := ours.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

func TestNothingIsReadOrWrittenWithoutRoom(t *testing.T) {
	ours, _ := pair(t)
	if n, err := ours.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v", n, err)
	}
	if n, err := ours.Write(nil); n != 0 || err != nil {
		t.Errorf("Write(nil) = %d, %v", n, err)
	}
}

// Errors are those of the net package, by kind and by text.
func TestErrorsAreTheNetPackages(t *testing.T) {
	for name, c := range map[string]struct {
		want error
		make func(ours net.Conn, peer *net.TCPConn) error
	}{
		"read past the deadline": {os.ErrDeadlineExceeded, func(ours net.Conn, _ *net.TCPConn) error {
			ours.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := ours.Read(make([]byte, 1))
			return err
		}},
		"write past the deadline": {os.ErrDeadlineExceeded, func(ours net.Conn, _ *net.TCPConn) error {
			ours.SetWriteDeadline(time.Now().Add(-time.Second))
			_, err := ours.Write([]byte("x"))
			return err
		}},
		"read after close": {net.ErrClosed, func(ours net.Conn, _ *net.TCPConn) error {
			ours.Close()
			_, err := ours.Read(make([]byte, 1))
			return err
		}},
		"close while reading": {net.ErrClosed, func(ours net.Conn, peer *net.TCPConn) error {
			done := make(chan error)
			go func() {
				b := make([]byte, 1)
				ours.Read(b) // the byte that says it has begun
				_, err := ours.Read(b)
				done <- err
			}()
			peer.Write([]byte("x"))
			ours.Close()
			return <-done
		}},
		"reset by the peer": {syscall.ECONNRESET, func(ours net.Conn, peer *net.TCPConn) error {
			peer.SetLinger(0)
			peer.Close()
			_, err := ours.Read(make([]byte, 1))
			return err
		}},
		"write to a peer that is gone": {syscall.EPIPE, func(ours net.Conn, peer *net.TCPConn) error {
			peer.SetLinger(0)
			peer.Close()
			ours.Read(make([]byte, 1)) // until the reset is there
			_, err := ours.Write([]byte("x"))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ours, peer := pair(t)
			err := c.make(ours, peer)
			var op *net.OpError
			if !errors.Is(err, c.want) || !errors.As(err, &op) || (op.Op != "read" && op.Op != "write") ||
				op.Timeout() != (c.want == os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "tcp 127.0.0.1:") {
				t.Errorf("%T %v, want %v as the net package returns it", err, err, c.want)
			}
		})
	}
}

// What was written before a deadline is counted.
func TestAWriteThatTimesOutSaysHowMuchLeft(t *testing.T) {
	ours, peer := pair(t)
	ours.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := ours.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	ours.Close()
	if got, _ := io.Copy(io.Discard, peer); got != int64(n) {
		t.Errorf("%d bytes arrived, Write said %d", got, n)
	}
}

// A deadline that passes in the middle of a TLS record loses no byte of it.
func TestTLSReadsGoOnAfterADeadline(t *testing.T) {
	ours, peer := pair(t)
	root := testpki.NewRoot(t, "Root")
	server := root.Server("localhost")
	go func() {
		c := tls.Client(peer, &tls.Config{RootCAs: root.Pool(), ServerName: "localhost"})
		c.Write(bytes.Repeat([]byte("y"), 100_000))
		c.Close()
	}()
	c := tls.Server(ours, &tls.Config{Certificates: []tls.Certificate{server.TLS()}})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	got, b := 0, make([]byte, 4096)
	for {
		c.SetReadDeadline(time.Now().Add(time.Microsecond))
		n, err := c.Read(b)
		got += n
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if err != nil {
			c.SetReadDeadline(time.Time{})
			n, err = c.Read(b)
			if got += n; err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if got != 100_000 {
		t.Errorf("%d bytes", got)
	}
}

func TestWhatIsNotTCPStaysAsItIs(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if direct.Wrap(a) != a {
		t.Error("a pipe was wrapped")
	}
	ours, _ := pair(t)
	if direct.Wrap(ours) != ours {
		t.Error("what is direct was wrapped again")
	}
	if over, ok := ours.(interface{ NetConn() net.Conn }); runtime.GOOS == "linux" && (!ok || !isTCP(over.NetConn())) {
		t.Error("the connection beneath cannot be had")
	}
}

func isTCP(c net.Conn) bool { _, ok := c.(*net.TCPConn); return ok }

func TestNothingIsAllocated(t *testing.T) {
	ours, peer := pair(t)
	b := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		ours.Write(b)
		io.ReadFull(peer, b)
		peer.Write(b)
		io.ReadFull(ours, b)
	}); n != 0 {
		t.Errorf("%v allocations an exchange", n)
	}
}
