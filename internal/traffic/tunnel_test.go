package traffic_test

import (
	"bufio"
	"io"
	"net"
	"testing"
)

// upgraded is a backend that switches every connection and then echoes.
func upgraded(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for line := ""; line != "\r\n"; {
					if line, err = r.ReadString('\n'); err != nil {
						return
					}
				}
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				io.Copy(conn, r)
			}()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// A connection that switched protocols has no next request: a client that is
// revoked loses it at once, though no byte passes.
func TestARevokedClientLosesItsUpgradedConnection(t *testing.T) {
	r := startBefore(t, upgraded(t), fleetConfig)
	device, other := r.root.Client("MacID-1"), r.root.Client("MacID-2")
	say := func(c *client, word string) {
		t.Helper()
		if _, err := io.WriteString(c.conn, word); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(c *client, word string) {
		t.Helper()
		got := make([]byte, len(word))
		if _, err := io.ReadFull(c.in, got); err != nil || string(got) != word {
			t.Fatalf("heard %q, %v, want %q", got, err, word)
		}
	}
	lost, kept := r.dial(device), r.dial(other)
	for _, c := range []*client{lost, kept} {
		c.send("Connection: Upgrade", "Upgrade: websocket")
		if p := c.reply(); p.StatusCode != 101 {
			t.Fatalf("got %d, want 101", p.StatusCode)
		}
		say(c, "one")
		hear(c, "one")
	}
	r.revoke(1, device)
	r.publish(withLists)
	r.expelled(lost, "ClientCertCrlHit")
	r.journal.wait(t, event{"event": "access", "subject": "CN=MacID-1", "denial_code": "ClientCertCrlHit", "elb_status_code": 101})
	say(kept, "two")
	hear(kept, "two")
}
