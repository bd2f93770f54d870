package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/testport"
	"countersign.dev/internal/testrequire"
)

// Every document is followed, as a reader would follow it: the ```sh blocks are
// run one after the other by one bash, in a directory of their own, with a
// freshly built countersign on the PATH and a backend where the documents have
// theirs. A ```yaml block whose first line is "# FILE.yaml" is written to that
// file; an ```output block is what the block before it must have printed.
func TestDocumentsAreTrue(t *testing.T) {
	for _, path := range documents(t) {
		blocks := fences(t, path)
		all := ""
		for _, b := range blocks {
			if b.lang == "sh" {
				all += b.text
			}
		}
		if all == "" {
			continue
		}
		t.Run(strings.TrimSuffix(path, ".md"), func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"bash", "curl", "openssl", "nginx", "mosquitto", "mosquitto_pub"} {
				if name == "bash" || name == "curl" || strings.Contains(all, name+" ") {
					testrequire.Program(t, name)
				}
			}
			follow(t, path, blocks)
		})
	}
}

// prelude is what every document's script begins with. Nobody has to read a
// poll in the documentation: here it waits until a gateway serves, and until it
// has taken up a change.
const prelude = `set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
__serving() {
  until curl -sf -o /dev/null http://127.0.0.1:9901/readyz; do kill -0 $!; sleep 0.02; done
}
__reloads() { curl -sf http://127.0.0.1:9901/metrics | awk '/^countersign_config_reloads_total/ { n += $2 } END { print n }'; }
__reloaded() { while [ "$(__reloads)" = "$1" ]; do sleep 0.02; done; }
`

var startsGateway = regexp.MustCompile(`(?m)^(countersign serve .*&)$`)

func follow(t *testing.T, path string, blocks []fence) {
	dir := t.TempDir()
	ports := substitute(t)
	if strings.HasPrefix(path, "examples/") {
		copyExample(t, filepath.Dir(path), dir, ports)
	}
	var script strings.Builder
	script.WriteString(prelude)
	for i, b := range blocks {
		fmt.Fprintf(&script, "echo %d >at; exec >out.%d 2>&1\n", i, i)
		switch {
		case b.lang == "sh":
			text := startsGateway.ReplaceAllString(b.text, "$1\n__serving")
			if b.after {
				text = "__before=$(__reloads)\n" + text + "__reloaded $__before\n"
			}
			script.WriteString(text)
		case b.file != "":
			fmt.Fprintf(&script, "cat >%s <<'END OF FILE'\n%sEND OF FILE\n", b.file, withAdmin(b.text))
		}
	}
	run(t, path, dir, ports.Replace(script.String()), blocks)
	for i, b := range blocks {
		if b.lang != "output" {
			continue
		}
		before := i - 1
		for before >= 0 && blocks[before].lang != "sh" && blocks[before].lang != "console" {
			before--
		}
		if before >= 0 && blocks[before].lang == "console" {
			continue // of a command that is not run here
		}
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("out.", before)))
		if err != nil {
			t.Fatalf("%s:%d: output of nothing: %v", path, b.line, err)
		}
		if missing, ok := told(ports.Replace(b.text), string(got)); !ok {
			t.Errorf("%s:%d: %q was not printed, but this:\n%s", path, b.line, missing, got)
		}
	}
}

// withAdmin spells the default admin address out, where a configuration leaves
// it at that, so that its port is replaced too: tests run beside one another.
func withAdmin(config string) string {
	if !strings.Contains(config, "\nlisteners:") || strings.Contains(config, "node:") {
		return config
	}
	return config + "node: {admin: \"127.0.0.1:9901\"}\n"
}

// hangs is after how long a document is given up. It is no limit of what is
// documented: on a busy machine each takes as long as it takes.
const hangs = 10 * time.Minute

// run executes a script in dir and says which block of the document failed.
func run(t *testing.T, path, dir, script string, blocks []fence) {
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program(t))+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+dir, "NO_PROXY=*", "no_proxy=*", "BASH_ENV=")
	// bash and all that it starts are one group, so that nothing outlives the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	output, err := cmd.CombinedOutput()
	if err == nil {
		return
	}
	at, _ := os.ReadFile(filepath.Join(dir, "at"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(at)))
	printed, _ := os.ReadFile(filepath.Join(dir, fmt.Sprint("out.", n)))
	t.Fatalf("%s:%d: %v\n%s%s", path, blocks[n].line, err, printed, output)
}

// substitute returns what replaces the ports of the documents by free ones. At
// 9001 and 9002 is a backend that answers with the request as it came.
func substitute(t *testing.T) *strings.Replacer {
	t.Helper()
	var pairs []string
	for _, port := range []string{"8443", "8080", "9901", "9443", "9444", "8883", "1883"} {
		_, free, _ := net.SplitHostPort(testport.For(t))
		pairs = append(pairs, port, free)
	}
	for _, port := range []string{"9001", "9002"} {
		backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			dump, err := httputil.DumpRequest(r, true)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Write(dump)
		}))
		t.Cleanup(backend.Close)
		pairs = append(pairs, port, strconv.Itoa(backend.Listener.Addr().(*net.TCPAddr).Port))
	}
	return strings.NewReplacer(pairs...)
}

func copyExample(t *testing.T, example, dir string, ports *strings.Replacer) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("..", example))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() { // a program, which the document has in bin/
			out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", f.Name()), "./"+filepath.Join("..", example, f.Name())).CombinedOutput()
			if err != nil {
				t.Fatalf("go build: %v\n%s", err, out)
			}
			continue
		}
		if strings.HasSuffix(f.Name(), ".md") {
			continue
		}
		text := ports.Replace(withAdmin(read(t, filepath.Join(example, f.Name()))))
		if err := os.WriteFile(filepath.Join(dir, f.Name()), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// program returns the path of the program, built once for all tests.
func program(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(bin, "countersign")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/countersign").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, bytes.TrimSpace(out))
	}
	return path, nil
})

// bin is where build puts the program.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "countersign-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(bin)
		return m.Run()
	}())
}
