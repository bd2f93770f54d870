//go:build !386 && !s390x

package direct_test

import (
	"crypto/tls"
	"io"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/socket/sockettest"
)

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
	before := sockettest.Info(t, peer).Segs_in
	if err := end(c); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the client reads %d bytes and %v, want none and close_notify", n, err)
	}
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("below TLS the client reads %d bytes and %v, want none and the end", n, err)
	}
	if n := sockettest.Info(t, peer).Segs_in - before; n != 1 {
		t.Errorf("%d packets, want one", n)
	}
}
