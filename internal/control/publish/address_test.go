package publish_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
)

// bind is the net package's error for an address that the system refuses so.
func bind(errno syscall.Errno) error {
	return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", errno)}
}

func TestFaultsOfAddressesSayWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "countersign.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(plainConfig, "BACKEND", "127.0.0.1:1")), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		cause error
		want  string
	}{
		{bind(syscall.EADDRINUSE), `found H:1, where something listens already, expected a free address; stop what is there (ss -ltnp names it), or choose another one`},
		{bind(syscall.EACCES), `found H:1, for which a privilege is needed, expected an address that the user of this program may listen on; for ports below 1024 grant CAP_NET_BIND_SERVICE, or choose a higher one`},
		{bind(syscall.EADDRNOTAVAIL), `found H:1, which is no address of this machine, expected one of its own (ip address lists them); for one that comes and goes between machines, the sysctl net.ipv4.ip_nonlocal_bind (net.ipv6.) lets it be listened on before it is here`},
		{&net.OpError{Op: "listen", Err: &net.DNSError{Err: "no such host", Name: "H"}}, `found H:1, whose name cannot be looked up (no such host), expected an address of this machine; write it in numbers`},
		{bind(syscall.ENOBUFS), `found H:1, which cannot be listened on (no buffer space available), expected an address of this machine, with a port`},
	} {
		got := publish.AddressFault(cfg, "listeners[0].address", "H:1", tc.cause).String()
		if want := file + ":3:28: listeners[0].address: " + tc.want; got != want {
			t.Errorf("%v:\n got %s\nwant %s", tc.cause, got, want)
		}
	}
}
