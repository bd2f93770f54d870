package socket_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"countersign.dev/internal/traffic/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, at string) *socket.Listener {
	t.Helper()
	l, err := socket.Listen(t.Context(), at, net.KeepAliveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func pairAt(t *testing.T, at string) (dialed, accepted socket.Conn) {
	t.Helper()
	dialed, accepted = connect(t, listen(t, at), false)
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return dialed, accepted
}

// connect returns both ends of a connection with l, which are the caller's to close.
func connect(t *testing.T, l *socket.Listener, speaks bool) (dialed, accepted socket.Conn) {
	t.Helper()
	dialed, err := socket.Dial(t.Context(), l.Addr().String(), 10*time.Second, speaks)
	if err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

func pair(t *testing.T) (dialed, accepted socket.Conn) { return pairAt(t, "127.0.0.1:0") }

// What every net.Conn has to do, with deadlines and with Close from anywhere.
func TestAConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		dialed, accepted := pair(t)
		return dialed, accepted, func() { dialed.Close(); accepted.Close() }, nil
	})
}

// A connection that we have closed ourselves has not ended: whoever read its end
// for one would pass it on as such.
func TestCloseIsNotTheEndOfTheStream(t *testing.T) {
	for name, last := range map[string]func(socket.Conn){
		"at once":              func(socket.Conn) {},
		"after CloseWrite":     func(c socket.Conn) { c.CloseWrite() },
		"with a reset":         func(c socket.Conn) { c.SetLinger(0) },
		"with a deadline left": func(c socket.Conn) { c.SetDeadline(time.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			c, peer := pair(t)
			last(c)
			heard := make(chan error)
			go func() { _, err := c.Read(make([]byte, 1)); heard <- err }()
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			go func() { heard <- raw.Write(func(uintptr) bool { return false }) }()
			c.Close()
			for range 2 {
				if err := <-heard; !errors.Is(err, net.ErrClosed) {
					t.Errorf("who waited heard %v", err)
				}
			}
			_, read := c.Read(make([]byte, 1))
			_, write := c.Write([]byte("x"))
			for what, err := range map[string]error{
				"Read": read, "Write": write, "Close": c.Close(), "SetDeadline": c.SetDeadline(time.Time{}), "SetLinger": c.SetLinger(0),
				"Control": raw.Control(func(uintptr) { t.Error("a descriptor that is not ours any more") }),
			} {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s after Close: %v", what, err)
				}
			}
			peer.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err = peer.Read(make([]byte, 1))
			if want := map[bool]error{true: syscall.ECONNRESET, false: io.EOF}[name == "with a reset"]; !errors.Is(err, want) {
				t.Errorf("the peer heard %v, want %v", err, want)
			}
		})
	}
}

func TestAddressesAreThoseOfTheNetPackage(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0", "0.0.0.0:0"} {
		t.Run(at, func(t *testing.T) {
			if strings.HasPrefix(at, "[") && !nettest.SupportsIPv6() {
				t.Skip("this machine has no IPv6")
			}
			l := listen(t, at)
			for _, to := range []string{"127.0.0.1", "::1"} {
				to := net.JoinHostPort(to, netip.MustParseAddrPort(l.Addr().String()).String()[strings.LastIndex(l.Addr().String(), ":")+1:])
				theirs, err := net.Dial("tcp", to)
				if err != nil {
					continue // of the other family
				}
				defer theirs.Close()
				ours, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer ours.Close()
				for _, of := range []struct{ ours, theirs net.Addr }{
					{ours.RemoteAddr(), theirs.LocalAddr()}, {ours.LocalAddr(), theirs.RemoteAddr()},
				} {
					if of.ours.String() != of.theirs.String() || of.ours.Network() != "tcp" {
						t.Errorf("%s, the other side says %s", of.ours, of.theirs)
					}
				}
				again, err := socket.Dial(t.Context(), to, 10*time.Second, false)
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				accepted, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer accepted.Close()
				if again.LocalAddr().String() != accepted.RemoteAddr().String() || again.RemoteAddr().String() != to {
					t.Errorf("dialed from %s to %s, accepted from %s", again.LocalAddr(), again.RemoteAddr(), accepted.RemoteAddr())
				}
			}
		})
	}
}

func TestAListenerThatIsClosedAcceptsNobody(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	heard := make(chan error)
	go func() { _, err := l.Accept(); heard <- err }()
	l.Close()
	if err := <-heard; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if c, err := socket.Dial(t.Context(), l.Addr().String(), 10*time.Second, false); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialed a closed listener: %v, %v", c, err)
	}
}

// Faults are told as by net.Dialer: logs and people know its texts.
func TestDialsFailAsThoseOfTheNetPackage(t *testing.T) {
	nobody := listen(t, "127.0.0.1:0")
	nobody.Close()
	full := full(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	soon, done := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer done()
	for name, tc := range map[string]struct {
		ctx     context.Context
		to      string
		timeout time.Duration
		is      error
	}{
		"refused":              {t.Context(), nobody.Addr().String(), 10 * time.Second, syscall.ECONNREFUSED},
		"late":                 {t.Context(), full, 50 * time.Millisecond, context.DeadlineExceeded},
		"late by the context":  {soon, full, 10 * time.Second, context.DeadlineExceeded},
		"canceled":             {canceled, full, 10 * time.Second, context.Canceled},
		"no such address":      {t.Context(), "127.0.0.1", 10 * time.Second, nil},
		"a network that isn't": {t.Context(), "255.255.255.255:1", 10 * time.Second, syscall.ENETUNREACH},
	} {
		t.Run(name, func(t *testing.T) {
			d := net.Dialer{Timeout: tc.timeout}
			_, theirs := d.DialContext(tc.ctx, "tcp", tc.to)
			c, ours := socket.Dial(tc.ctx, tc.to, tc.timeout, false)
			if c != nil || ours == nil || theirs == nil || ours.Error() != theirs.Error() {
				t.Fatalf("%v, %v; the net package: %v", c, ours, theirs)
			}
			if tc.is != nil && !errors.Is(ours, tc.is) {
				t.Errorf("%v is not %v", ours, tc.is)
			}
			our, their := ours.(net.Error), theirs.(net.Error)
			if our.Timeout() != their.Timeout() {
				t.Errorf("%v is a timeout: %t, to the net package %t", ours, our.Timeout(), their.Timeout())
			}
		})
	}
}

// full returns an address where nothing is accepted and no more can wait.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(at.(*syscall.SockaddrInet4).Port)).String()
	for range 16 {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("there is always room for one more")
	return ""
}

// A dial that waits ends with its context.
func TestADialUnderWayIsCanceled(t *testing.T) {
	to := full(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan error)
	go func() { _, err := socket.Dial(ctx, to, time.Minute, false); heard <- err }()
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := <-heard; !errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it says %v", err)
	}
}

// Names are looked up by the net package.
func TestANameIsDialed(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := socket.Dial(t.Context(), "localhost:"+port, 10*time.Second, false)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestSpliceMovesBytesUntilTheEnd(t *testing.T) {
	client, from := pair(t)
	to, target := pair(t)
	sent := make([]byte, 5<<20+3)
	rand.Read(sent)
	var running sync.WaitGroup
	running.Go(func() {
		client.Write(sent)
		client.CloseWrite()
	})
	var got bytes.Buffer
	running.Go(func() { io.Copy(&got, target) })
	moved := 0
	if err := socket.Splice(to, from, func(n int) { moved += n }); err != nil {
		t.Error(err)
	}
	to.CloseWrite()
	running.Wait()
	if !bytes.Equal(got.Bytes(), sent) || moved != len(sent) {
		t.Errorf("%d bytes of %d came, %d were told of", got.Len(), len(sent), moved)
	}
}

// A reader that is too slow is a fault of its own, and no deadline that could be
// waited out: what the kernel has taken from the one side is gone.
func TestSpliceTellsWhoIsLate(t *testing.T) {
	client, from := pair(t)
	to, target := pair(t)
	from.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if err := socket.Splice(to, from, func(int) { t.Error("nothing was sent") }); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent sender: %v", err)
	}
	from.SetReadDeadline(time.Time{})
	to.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	done := make(chan struct{})
	go func() { defer close(done); client.Write(make([]byte, 64<<20)) }()
	err := socket.Splice(to, from, func(int) {})
	late, ok := errors.AsType[*socket.WriteError](err)
	if !ok || !errors.Is(late.Err, os.ErrDeadlineExceeded) || late.Lost == 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a reader that does not read: %v", err)
	}
	client.Close()
	target.Close()
	<-done
}
