package testrequire

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// PostgreSQL runs a server of the test's own, reachable through a Unix socket
// alone, and returns the URL of its empty database. settings are as for -c of
// postgres: fsync=on. It ends with the test.
func PostgreSQL(t testing.TB, settings ...string) string {
	t.Helper()
	initdb, postgres := Program(t, "initdb"), Program(t, "postgres")
	// A socket's path has at most 107 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attributes := other(t, dir)

	data := filepath.Join(dir, "data")
	prepare := exec.Command(initdb, "-D", data, "-A", "trust", "-U", "countersign", "-E", "UTF8", "--no-locale", "--no-sync")
	prepare.SysProcAttr, prepare.Dir = attributes, dir
	if out, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	args := []string{"-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "autovacuum=off", "-c", "max_connections=200"}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	server := exec.Command(postgres, args...)
	server.SysProcAttr, server.Dir = attributes, dir
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // fast shutdown
		<-ended
	})
	// The server creates the socket early; its file with the process's state says
	// when it takes connections: the last line of postmaster.pid is "ready".
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		state, _ := os.ReadFile(filepath.Join(data, "postmaster.pid"))
		if bytes.HasSuffix(bytes.TrimSpace(state), []byte("ready")) {
			break
		}
		select {
		case <-ended:
			t.Fatalf("postgres ended:\n%s", log.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatal("postgres does not get ready")
		}
	}
	u := url.URL{Scheme: "postgres", User: url.User("countersign"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	return u.String()
}

// other says under which user PostgreSQL runs: it refuses to as root.
func other(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	attributes := dying()
	if os.Geteuid() != 0 {
		return attributes
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatalf("PostgreSQL does not run as root, and there is no user nobody: %v", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes
}
