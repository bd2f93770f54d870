//go:build !386 && !s390x

package socket_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"countersign.dev/internal/traffic/socket"
	"countersign.dev/internal/traffic/socket/sockettest"
)

// option is what the kernel has of c's socket.
func option(t *testing.T, c socket.Conn, level, name int) (value int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			if value, err = syscall.GetsockoptInt(int(fd), level, name); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSocketsAreSetAsTheNetPackageSetsThem(t *testing.T) {
	dialed, accepted := pair(t)
	for _, tc := range []struct {
		name              string
		c                 socket.Conn
		level, option, is int
	}{
		{"TCP_NODELAY of a dialed one", dialed, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"TCP_NODELAY of an accepted one", accepted, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", dialed, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", dialed, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		{"TCP_KEEPINTVL", dialed, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{"TCP_KEEPCNT", dialed, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
	} {
		if got := option(t, tc.c, tc.level, tc.option); got != tc.is {
			t.Errorf("%s is %d, want %d", tc.name, got, tc.is)
		}
	}
}

// Who speaks first sends SYN and then what he says, with the packet that ends the
// handshake; who listens sends that at once.
func TestWhatIsSaidAtOnceGoesWithTheHandshake(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	packets := func(speaks bool) (n uint32) {
		c, err := socket.Dial(t.Context(), l.Addr().String(), 10*time.Second, speaks)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		n = sockettest.Info(t, c).Segs_out
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		peer.SetReadDeadline(time.Now().Add(10 * time.Second))
		if said, err := io.ReadAll(io.LimitReader(peer, 1)); string(said) != "x" {
			t.Errorf("the peer heard %q, %v", said, err)
		}
		return n
	}
	if n := packets(false); n != 3 {
		t.Errorf("%d packets of one who listens, want 3", n)
	}
	for range 5 { // a machine that is slow can take longer than the kernel waits
		if n := packets(true); n == 2 {
			return
		}
	}
	t.Error("the handshake was ended by a packet of its own, five times out of five")
}

// Who listens may be spoken to first.
func TestAPeerThatSpeaksFirstIsHeard(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for _, speaks := range []bool{false, true} { // true is wrong here, and costs a moment
		c, peer := connect(t, l, speaks)
		defer c.Close()
		defer peer.Close()
		peer.Write([]byte("y"))
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if heard, err := io.ReadAll(io.LimitReader(c, 1)); string(heard) != "y" {
			t.Errorf("speaks first %t: heard %q, %v", speaks, heard, err)
		}
	}
}

// A closed connection's descriptor is its own until nobody can call with it any
// more, and does not stay for long.
func TestDescriptorsAreGivenBack(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	open := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", os.Getpid()))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	for range 300 {
		c, peer := connect(t, l, false)
		c.Close()
		peer.Close()
	}
	for end := time.Now().Add(10 * time.Second); open() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors are open, %d were", open(), before)
		}
	}
}

// Descriptors that are still to be given back are there when others are wanting.
func TestDescriptorsAreGivenBackWhereTheyAreScarce(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	round := func() {
		c, peer := connect(t, l, false)
		peer.Close()
		c.Close()
	}
	round() // and what is opened once is
	next, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	number := uint64(next.Fd())
	next.Close()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	few := was
	few.Cur = number + 8
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	for range 100 {
		round()
	}
}

// The kernel may choose, for a socket that is to be connected with a port where
// nobody listens, that very port: it would speak with itself. Ports are chosen one
// after the other, so that this one's turn comes.
func TestNobodyIsConnectedWithHimself(t *testing.T) {
	if testing.Short() {
		t.Skip("tens of thousands of connections")
	}
	nobody := listen(t, "127.0.0.1:0")
	nobody.Close()
	port := nobody.Addr().(*net.TCPAddr).Port
	port -= port % 2 // connect(2) chooses even ones first, where a range begins with such a one
	to := fmt.Sprintf("127.0.0.1:%d", port)
	for range 40_000 {
		c, err := socket.Dial(t.Context(), to, 10*time.Second, false)
		if err == nil {
			t.Fatalf("%s, where nobody listens, speaks with %s", to, c.LocalAddr())
		}
	}
}
