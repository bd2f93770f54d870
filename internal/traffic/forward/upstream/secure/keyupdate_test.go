package secure_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/forward/upstream/secure"
)

// A target that changes its keys while the connection is idle, and wants ours to be
// changed too, has said nothing (RFC 8446 section 4.6.3).
func TestAChangeOfKeysIsTakenInByTheLook(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	root, dir := testpki.NewRoot(t, "Root"), t.TempDir()
	cert, key := root.Server("api.internal").Write(dir, "server")
	server := exec.Command(openssl, "s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-cert", cert, "-key", key, "-naccept", "1")
	typed, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer server.Process.Kill()
	lines := bufio.NewReader(out)
	address := ""
	for address == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		address, _ = strings.CutPrefix(strings.TrimSpace(line), "ACCEPT ")
		if !strings.HasPrefix(line, "ACCEPT ") {
			address = ""
		}
	}
	conn, err := connect(t, client(t, secure.Config{Roots: roots(root)}), address, "api.internal")
	if err != nil {
		t.Fatal(err)
	}
	tcp := conn.NetConn().(interface{ NetConn() net.Conn }).NetConn()
	look := silent(t, tcp)
	word := func(s string) { // what comes behind it is decrypted with the keys of now
		t.Helper()
		io.WriteString(typed, s+"\n")
		got := make([]byte, len(s)+1)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != s+"\n" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	word("hello")
	for range 3 {
		io.WriteString(typed, "K\n")
		await(t, tcp)
		if !conn.Quiet(look) {
			t.Fatal("a change of keys was taken for content")
		}
		if _, err := io.WriteString(conn, "with new keys\n"); err != nil {
			t.Fatal(err)
		}
		word("hello again")
	}
	if conn.ConnectionState().Version != tls.VersionTLS13 {
		t.Error("this is about TLS 1.3")
	}
	io.WriteString(typed, "content\n")
	await(t, tcp)
	if conn.Quiet(look) {
		t.Error("content was taken for a change of keys")
	}
}
