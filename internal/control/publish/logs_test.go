package publish_test

import (
	"bytes"
	"io"
	nethttp "net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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
	r.config(logTo("missing/a.log"))
	err := r.publisher.Publish(t.Context())
	if err == nil || !strings.Contains(err.Error(), "missing/a.log") || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("the error is %v, want one that names the file", err)
	}
	if r.node.Current() != before {
		t.Error("another snapshot is in force")
	}
	r.serves("127.0.0.1:0")
	r.close()
	if n := r.countLines("a.log"); n != 1 {
		t.Errorf("%d lines, want one: the old log goes on", n)
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
