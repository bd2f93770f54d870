package secure_test

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/upstream/secure"
)

// silent looks into the socket of c.
func silent(t *testing.T, c net.Conn) func() bool {
	raw, err := c.(interface {
		SyscallConn() (syscall.RawConn, error)
	}).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return func() (nothing bool) {
		raw.Control(func(fd uintptr) {
			_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			nothing = err == syscall.EAGAIN
		})
		return nothing
	}
}

// await waits until something has come.
func await(t *testing.T, c net.Conn) {
	raw, err := c.(interface {
		SyscallConn() (syscall.RawConn, error)
	}).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err != syscall.EAGAIN
	})
}

// An idle connection is good while nothing has come that is meant for whoever
// uses it: what TLS itself has to say does not count.
func TestAnIdleConnectionIsQuietWhileTheTargetSaysNothing(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	// Each gets the TCP connection too, to write what is no record.
	for name, c := range map[string]struct {
		then  func(c *tls.Conn, raw net.Conn)
		quiet bool
		comes bool // something comes at all
	}{
		"nothing":          {func(*tls.Conn, net.Conn) {}, true, false},
		"content":          {func(c *tls.Conn, _ net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK") }, false, true},
		"its end":          {func(c *tls.Conn, _ net.Conn) { c.CloseWrite() }, false, true},
		"the end of TCP":   {func(_ *tls.Conn, raw net.Conn) { raw.(*net.TCPConn).CloseWrite() }, false, true},
		"half a record":    {func(_ *tls.Conn, raw net.Conn) { raw.Write([]byte{23, 3, 3, 1, 0, 7}) }, false, true},
		"no record at all": {func(_ *tls.Conn, raw net.Conn) { io.WriteString(raw, "HTTP/1.1 200 OK") }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			go1, done := make(chan struct{}), make(chan struct{})
			address := plain(t, func(raw net.Conn) {
				conn := tls.Server(raw, serving(root.Server("api.internal")))
				if conn.HandshakeContext(t.Context()) != nil {
					return
				}
				io.CopyN(conn, conn, 5)
				<-go1
				c.then(conn, raw)
				<-done
			})
			defer close(done)
			conn, err := connect(t, client(t, secure.Config{Roots: roots(root)}), address, "api.internal")
			if err != nil {
				t.Fatal(err)
			}
			if err := says(conn); err != nil {
				t.Fatal(err)
			}
			tcp := conn.NetConn().(interface{ NetConn() net.Conn }).NetConn()
			look := silent(t, tcp)
			if !conn.Quiet(look) {
				t.Fatal("not quiet before anything came")
			}
			close(go1)
			if c.comes {
				await(t, tcp)
			}
			if got := conn.Quiet(look); got != c.quiet {
				t.Errorf("quiet: %v, want %v", got, c.quiet)
			}
			if c.quiet {
				conn.Quiet(look) // twice is as good as once
				if n := testing.AllocsPerRun(100, func() { conn.Quiet(look) }); n > 4 {
					t.Errorf("a look allocates %v times", n)
				}
			}
		})
	}
}

// The session tickets that a server sends after the handshake are no content.
func TestSessionTicketsAreTakenInByTheLook(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	release := make(chan struct{})
	// One that asks for a certificate sends them when it has seen it.
	address := target(t, requiring(root.Server("api.internal"), root, tls.VersionTLS13), func(*tls.Conn) { <-release })
	defer close(release)
	own := root.Client("gateway").TLS()
	c := client(t, secure.Config{Roots: roots(root), Certificate: &own})
	conn, err := connect(t, c, address, "api.internal")
	if err != nil {
		t.Fatal(err)
	}
	tcp := conn.NetConn().(interface{ NetConn() net.Conn }).NetConn()
	await(t, tcp) // the ticket
	if !conn.Quiet(silent(t, tcp)) {
		t.Error("a session ticket was taken for content")
	}
}

// What did not fit into the buffer of the last read belongs to the answer before.
func TestContentThatWasReceivedButNotReadIsNotQuiet(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	release := make(chan struct{})
	address := target(t, serving(root.Server("api.internal")), func(c *tls.Conn) {
		io.WriteString(c, "answer and more")
		<-release
	})
	defer close(release)
	conn, err := connect(t, client(t, secure.Config{Roots: roots(root)}), address, "api.internal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, len("answer"))); err != nil {
		t.Fatal(err)
	}
	tcp := conn.NetConn().(interface{ NetConn() net.Conn }).NetConn()
	if conn.Quiet(silent(t, tcp)) {
		t.Error("the next answer would begin with the rest of the last one")
	}
}
