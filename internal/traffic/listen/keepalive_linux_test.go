package listen_test

import (
	"net"
	"syscall"
	"testing"

	"countersign.dev/internal/traffic/listen"
	"countersign.dev/internal/traffic/socket"
)

func TestAnAcceptedConnectionIsProbed(t *testing.T) {
	s, err := listen.Open(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns, done := make(chan socket.Conn), make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(func(c socket.Conn) { conns <- c }, func(err error) { t.Error(err) })
	}()
	client, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn := <-conns
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		for name, o := range map[string]struct{ level, option, want int }{
			"SO_KEEPALIVE":  {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			"TCP_KEEPIDLE":  {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 30},
			"TCP_KEEPINTVL": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15},
			"TCP_KEEPCNT":   {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 9},
			"TCP_NODELAY":   {syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		} {
			if got, err := syscall.GetsockoptInt(int(fd), o.level, o.option); err != nil || got != o.want {
				t.Errorf("%s: %d, %v; want %d", name, got, err, o.want)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	<-done
}
