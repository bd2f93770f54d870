//go:build !386 && !s390x

package direct_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/direct"
	"golang.org/x/sys/unix"
)

// segments is how many have come in on c.
func segments(t *testing.T, c *net.TCPConn) (n uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Error(err)
				return
			}
			n = info.Segs_in
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCloseNotifyAndFINAreOnePacket(t *testing.T) {
	for name, end := range map[string]func(*direct.TLS) error{"End": (*direct.TLS).End, "Leave": (*direct.TLS).Leave} {
		t.Run(name, func(t *testing.T) { ends(t, end) })
	}
}

func ends(t *testing.T, end func(*direct.TLS) error) {
	root := testpki.NewRoot(t, "Root")
	server := root.Server("localhost")
	ours, peer := pair(t)
	client := tls.Client(peer, &tls.Config{RootCAs: root.Pool(), ServerName: "localhost"})
	shook := make(chan error, 1)
	go func() { shook <- client.Handshake() }()
	c := direct.Gather(tls.Server(ours, &tls.Config{Certificates: []tls.Certificate{server.TLS()}}))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shook; err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("x"))
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	before := segments(t, peer)
	if err := end(c); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the client reads %d bytes and %v, want none and close_notify", n, err)
	}
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("below TLS the client reads %d bytes and %v, want none and the end", n, err)
	}
	if n := segments(t, peer) - before; n != 1 {
		t.Errorf("%d packets, want one", n)
	}
}
