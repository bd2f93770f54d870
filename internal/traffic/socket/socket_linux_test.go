//go:build !386 && !s390x

package socket_test

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"countersign.dev/internal/traffic/socket"
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
		c, err := socket.Dial(t.Context(), l.Addr().String(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		peer.Close()
	}
	for end := time.Now().Add(10 * time.Second); open() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors are open, %d were", open(), before)
		}
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
		c, err := socket.Dial(t.Context(), to, 10*time.Second)
		if err == nil {
			t.Fatalf("%s, where nobody listens, speaks with %s", to, c.LocalAddr())
		}
	}
}
