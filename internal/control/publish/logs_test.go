package publish_test

import (
	"bytes"
	"errors"
	"io"
	nethttp "net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
)

// logTo is plainConfig with an access log.
func logTo(path string) string {
	return with(plainConfig, "node: {admin: off}", "node: {admin: off}\nlogs: {access: {path: "+path+", format: json}}")
}

func (r *rig) countLines(names ...string) int {
	r.t.Helper()
	n := 0
	for _, name := range names {
		data, err := os.ReadFile(r.path(name))
		if err != nil {
			r.t.Fatal(err)
		}
		n += bytes.Count(data, []byte("\n"))
	}
	return n
}

// Requests go on while the log moves to and fro: each has its line in one of
// the files.
func TestNoLineIsLostWhileALogMoves(t *testing.T) {
	r := newRig(t, logTo("a.log"), nil)
	url := "http://" + r.node.Addresses()["127.0.0.1:0"].String()
	var requests atomic.Int64
	var running sync.WaitGroup
	stop, made := make(chan struct{}), make(chan struct{}, 1<<20)
	for range 3 {
		running.Go(func() {
			client := nethttp.Client{Transport: &nethttp.Transport{}, Timeout: patience}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := client.Get(url)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				requests.Add(1)
				made <- struct{}{}
			}
		})
	}
	for i := range 20 {
		r.config(logTo([]string{"b.log", "a.log"}[i%2]))
		if err := r.publisher.Publish(t.Context()); err != nil {
			t.Error(err)
		}
		// Some requests in between, so that there is something to lose.
		for range 10 {
			select {
			case <-made:
			case <-time.After(patience):
				t.Fatal("no request is made any more")
			}
		}
	}
	close(stop)
	running.Wait()
	r.close()
	if n := r.countLines("a.log", "b.log"); n != int(requests.Load()) {
		t.Errorf("%d requests have %d lines", requests.Load(), n)
	}
}

func TestALogIsSwitchedOnAndOff(t *testing.T) {
	r := newRig(t, plainConfig, nil)
	r.serves("127.0.0.1:0")
	for _, text := range []string{logTo("a.log"), plainConfig} {
		r.config(text)
		if err := r.publisher.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.serves("127.0.0.1:0")
	}
	r.close()
	if n := r.countLines("a.log"); n != 1 {
		t.Errorf("%d lines, want that of the request in between", n)
	}
}

func TestALogThatStaysIsNotOpenedAnew(t *testing.T) {
	r := newRig(t, logTo("a.log"), nil)
	before := r.node.Current().AccessLog
	if err := r.publisher.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.node.Current().AccessLog != before {
		t.Error("the log of an equal configuration is another one")
	}
}

func TestALogThatCannotBeWrittenRefusesTheWholeChange(t *testing.T) {
	r := newRig(t, logTo("a.log"), nil)
	before := r.node.Current()
	r.write("file", nil)
	if err := errors.Join(os.Mkdir(r.path("dir"), 0o755), syscall.Mkfifo(r.path("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ connection, access, want string }{
		{"b.log", "missing/a.log",
			"4:18: logs.access.path: found missing/a.log, but no directory missing, expected a directory with the log in it; make it first, for the user that the program runs as"},
		{"dir", "file/a.log",
			"3:22: logs.connection.path: found dir, which is a directory, expected a file; add the name of the file: dir/NAME.log\n" +
				"4:18: logs.access.path: found file/a.log, but file is a file, expected a directory with the log in it; name another one"},
		{"pipe", "c.log", // which nobody reads
			"3:22: logs.connection.path: found pipe, which cannot be written (no such device or address), expected a file that can be written; name another one"},
	} {
		r.config(with(plainConfig, "node: {admin: off}",
			"node: {admin: off}\nlogs:\n  connection: {path: "+c.connection+", format: json}\n  access: {path: "+c.access+", format: json}"))
		err := r.publisher.Publish(t.Context())
		faults, ok := errors.AsType[config.Faults](err)
		if !ok {
			t.Errorf("%s and %s: the error is no fault of the configuration: %v", c.connection, c.access, err)
			continue
		}
		got := strings.ReplaceAll(strings.ReplaceAll(faults.Error(), r.path("countersign.yaml")+":", ""), r.dir+"/", "")
		if got = strings.ReplaceAll(got, r.dir, "."); got != c.want {
			t.Errorf("it says\n%s\nwant\n%s", got, c.want)
		}
		if s := r.publisher.Status(); len(s.Last.Faults) != len(faults) {
			t.Errorf("the status has the faults %v", s.Last.Faults)
		}
		if r.node.Current() != before {
			t.Error("another snapshot is in force")
		}
	}
	r.serves("127.0.0.1:0")
	r.close()
	if n := r.countLines("a.log"); n != 1 {
		t.Errorf("%d lines, want one: the old log goes on", n)
	}
}

// Who mends one fault does not find the next one of a log only then.
func TestFaultsOfLogsComeWithThoseOfFiles(t *testing.T) {
	f := newFiles(t)
	f.write("countersign.yaml", []byte(`
logs: {access: {path: .}}
listeners:
  - {name: a, address: "127.0.0.1:0", protocol: https, certificates: {cert: missing.crt, key: server.key}, default: {forward: app}}
target_groups: [{name: app, targets: ["127.0.0.1:9"]}]
`))
	r := newRigOn(t, f)
	err := r.publisher.Publish(t.Context())
	for _, want := range []string{"missing.crt, which cannot be read", "logs.access.path: found "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said: %v", want, err)
		}
	}
}

// A look at a configuration says the same, and makes nothing.
func TestLogsThatCouldNotBeOpenedAreSeenWithoutOpeningThem(t *testing.T) {
	dir := t.TempDir()
	look := func(path string) config.Faults {
		cfg, faults := config.Parse("countersign.yaml", []byte(`logs: {access: {path: "`+path+`"}}
listeners: [{name: a, address: "127.0.0.1:0", protocol: http, default: {forward: app}}]
target_groups: [{name: app, targets: ["127.0.0.1:9"]}]`), dir)
		if cfg == nil {
			t.Fatal(faults)
		}
		return publish.Unwritable(cfg)
	}
	if err := errors.Join(os.Mkdir(dir+"/locked", 0o500), os.WriteFile(dir+"/locked.log", nil, 0o400)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"-": "", "a.log": "",
		".":              "1:23: logs.access.path: found " + dir + ", which is a directory",
		"missing/a.log":  "1:23: warning: logs.access.path: found " + dir + "/missing/a.log, but no directory",
		"locked/new.log": "1:23: warning: logs.access.path: found " + dir + "/locked/new.log, which cannot be written (permission denied)",
		"locked.log":     "1:23: warning: logs.access.path: found " + dir + "/locked.log, which cannot be written (permission denied)",
	} {
		if strings.HasPrefix(path, "locked") && os.Geteuid() == 0 {
			continue // who may write everywhere
		}
		if got := look(path).Error(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if _, err := os.Stat(dir + "/a.log"); err == nil {
		t.Error("a look has made the log")
	}
}

func TestAFileThatWasRotatedAwayIsReopened(t *testing.T) {
	r := newRig(t, logTo("a.log"), nil)
	r.serves("127.0.0.1:0")
	if err := os.Rename(r.path("a.log"), r.path("a.log.1")); err != nil {
		t.Fatal(err)
	}
	if err := r.publisher.Reopen(); err != nil {
		t.Fatal(err)
	}
	r.serves("127.0.0.1:0")
	r.close()
	if old, now := r.countLines("a.log.1"), r.countLines("a.log"); old+now != 2 || now < 1 {
		t.Errorf("%d lines in the rotated file and %d in the new one, want 2 in all", old, now)
	}
}
