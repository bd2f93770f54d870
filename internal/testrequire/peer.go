package testrequire

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Peer runs a server, nginx say, that takes over a listening socket on loopback
// as its descriptor 3, and returns the address: a client can connect before the
// server is ready. arguments are told the address; env is put behind the
// test's own. The server ends with the test.
func Peer(t testing.TB, program string, arguments func(address string) []string, env ...string) string {
	t.Helper()
	path := Program(t, program)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	address := ln.Addr().String()
	cmd := exec.Command(path, arguments(address)...)
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // nginx's master ends its worker, too
		_ = cmd.Wait()
	})
	return address
}

// InheritedByNginx has nginx take over the socket of Peer, as in an upgrade of its
// binary, if its configuration listens at that address.
const InheritedByNginx = "NGINX=3;"
