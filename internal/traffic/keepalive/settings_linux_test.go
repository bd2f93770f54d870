package keepalive_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/traffic/keepalive"
)

func TestTheKernelIsToldWhenAPeerIsGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	c := dialed.(*net.TCPConn)
	option := func(level, name int) (value int) {
		t.Helper()
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, name) })
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for _, tc := range []struct {
		set                      *keepalive.Settings
		on, idle, interval, user int
	}{
		{&keepalive.Settings{After: 40 * time.Second, Unacknowledged: 90 * time.Second}, 1, 40, 20, 90_000},
		{&keepalive.Settings{After: time.Second}, 1, 1, 1, 90_000},
		{nil, 1, 1, 1, 90_000},
		{&keepalive.Settings{}, 0, 1, 1, 90_000},
	} {
		if err := tc.set.Apply(c); err != nil {
			t.Fatal(err)
		}
		on := option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		idle, interval := option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE), option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
		if user := option(syscall.IPPROTO_TCP, 18); on != tc.on || on == 1 && (idle != tc.idle || interval != tc.interval) || user != tc.user {
			t.Errorf("%+v: on %d, after %d s, every %d s, user timeout %d ms", tc.set, on, idle, interval, user)
		}
	}
}
