package h2spec

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

// patience is how long the test waits for what must happen before it fails.
const patience = 30 * time.Second

// A gateway is a program that serves.
type gateway struct {
	dir       string
	address   string
	client    string // PEM file of a client's certificate with its key
	authority string // PEM file of who issued the gateway's certificate
}

const config = `
node: {admin: off}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    identity_headers: [aws]
    default: {forward: app}
trust_stores:
  - {name: fleet, ca_bundle: [ca.crt]}
target_groups:
  - {name: app, targets: ["%s"]}
`

// serve runs countersign serve before the backend.
func serve(t *testing.T, backend string) gateway {
	t.Helper()
	g := gateway{dir: t.TempDir()}
	clients, web := testpki.NewRoot(t, "Fleet Root"), testpki.NewRoot(t, "Web Root")
	web.Server("localhost").Write(g.dir, "server")
	write(t, filepath.Join(g.dir, "ca.crt"), string(clients.PEM()))
	write(t, filepath.Join(g.dir, "countersign.yaml"), fmt.Sprintf(config, backend))
	device := clients.Client("device-1")
	g.client = write(t, filepath.Join(g.dir, "client.pem"), string(device.PEM())+string(device.KeyPEM()))
	g.authority = write(t, filepath.Join(g.dir, "web.crt"), string(web.PEM()))

	program := filepath.Join(g.dir, "countersign")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "countersign.dev/cmd/countersign").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	cmd := exec.Command(program, "serve", "-c", "countersign.yaml")
	cmd.Dir = g.dir
	bound := regexp.MustCompile(`msg=listening.* bound=(\S+)`)
	select {
	case g.address = <-start(t, cmd, bound):
	case <-time.After(patience):
		t.Fatal("the gateway does not listen")
	}
	return g
}

// backend answers whatever is asked. h2spec wants content in answers.
func backend(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "content that flow control applies to")
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// start starts a program that ends with the test. What it says is shown if the
// test fails; of the first line that form matches, the first group is sent.
func start(t *testing.T, cmd *exec.Cmd, form *regexp.Regexp) <-chan string {
	t.Helper()
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	matched := make(chan string, 1)
	log := new(bytes.Buffer)
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			if m := form.FindStringSubmatch(lines.Text()); len(m) > 1 && len(matched) == 0 {
				matched <- m[1]
			}
		}
	})
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		reading.Wait()
		err := cmd.Wait()
		timer.Stop()
		if t.Failed() {
			t.Logf("%s: %v\n%s", filepath.Base(cmd.Path), err, log)
		}
	})
	return matched
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
