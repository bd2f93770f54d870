package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/internal/control/publish/watch"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// start watches name; a change must be told by the kernel, the sweep is far off.
func start(t *testing.T, name string) *watch.Watcher {
	t.Helper()
	w, err := watch.New(watch.Config{Settle: 5 * time.Millisecond, Sweep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Set([]string{name}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); w.Close(); <-done; goleak.VerifyNone(t) })
	return w
}

func TestChangesAreTold(t *testing.T) {
	for _, tc := range []struct {
		name   string
		lay    func(t *testing.T, dir string) (file string)
		change func(t *testing.T, dir string)
	}{
		{"written in place",
			func(t *testing.T, dir string) string { write(t, dir+"/f", "1"); return dir + "/f" },
			func(t *testing.T, dir string) { write(t, dir+"/f", "22") }},
		{"replaced by rename",
			func(t *testing.T, dir string) string { write(t, dir+"/f", "1"); return dir + "/f" },
			func(t *testing.T, dir string) { write(t, dir+"/g", "1"); rename(t, dir+"/g", dir+"/f") }},
		{"created",
			func(t *testing.T, dir string) string { return dir + "/f" },
			func(t *testing.T, dir string) { write(t, dir+"/f", "1") }},
		{"removed",
			func(t *testing.T, dir string) string { write(t, dir+"/f", "1"); return dir + "/f" },
			func(t *testing.T, dir string) { os.Remove(dir + "/f") }},
		{"its link turned",
			func(t *testing.T, dir string) string {
				os.Mkdir(dir+"/a", 0o700)
				write(t, dir+"/a/1", "1")
				write(t, dir+"/a/2", "2")
				link(t, "a/1", dir+"/f")
				return dir + "/f"
			},
			func(t *testing.T, dir string) { link(t, "a/2", dir+"/n"); rename(t, dir+"/n", dir+"/f") }},
		{"changed behind its link",
			func(t *testing.T, dir string) string {
				os.Mkdir(dir+"/a", 0o700)
				write(t, dir+"/a/1", "1")
				link(t, "a/1", dir+"/f")
				return dir + "/f"
			},
			func(t *testing.T, dir string) { write(t, dir+"/a/1", "22") }},
		{"a directory link above it swapped",
			func(t *testing.T, dir string) string {
				for _, v := range []string{"v1", "v2"} {
					os.Mkdir(dir+"/"+v, 0o700)
					write(t, dir+"/"+v+"/f", v)
				}
				link(t, "v1", dir+"/current")
				return dir + "/current/f"
			},
			func(t *testing.T, dir string) { link(t, "v2", dir+"/n"); rename(t, dir+"/n", dir+"/current") }},
		{"a mounted secret updated",
			func(t *testing.T, dir string) string {
				for _, v := range []string{"..1", "..2"} {
					os.Mkdir(dir+"/"+v, 0o700)
					write(t, dir+"/"+v+"/f", v)
				}
				link(t, "..1", dir+"/..data")
				link(t, "..data/f", dir+"/f")
				return dir + "/f"
			},
			func(t *testing.T, dir string) { link(t, "..2", dir+"/..n"); rename(t, dir+"/..n", dir+"/..data") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			file := tc.lay(t, dir)
			w := start(t, file)
			tc.change(t, dir)
			select {
			case names := <-w.Changed():
				if len(names) != 1 || names[0] != file {
					t.Errorf("told of %q, want %q", names, file)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the change was not told")
			}
		})
	}
}

// A file that changes after it was read, and before the names that it led to are
// watched, has changed.
func TestAChangeBeforeAmendIsTold(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "1")
	w := start(t, dir+"/f")
	write(t, dir+"/f", "22")
	if err := w.Amend([]string{dir + "/f", dir + "/g"}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.Changed():
	case <-time.After(10 * time.Second):
		t.Fatal("the change was not told")
	}
}

// An event in the directory that leaves the file as it is is no change: the
// next value to arrive is for the change that follows.
func TestNeighborsAreNotAChange(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	write(t, file, "1")
	w, err := watch.New(watch.Config{Settle: time.Millisecond, Sweep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Set([]string{file}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "neighbor"), "x")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	w.Run(ctx)
	select {
	case <-w.Changed():
		t.Error("a neighbor's change was told")
	default:
	}
}

// A log that is written to in the same directory must not put a change off.
func TestNoiseDoesNotDelayAChange(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	write(t, file, "1")
	w, err := watch.New(watch.Config{Settle: 20 * time.Millisecond, Sweep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Set([]string{file}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	running.Go(func() { // an event every few milliseconds, far more often than Settle
		log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Error(err)
			return
		}
		defer log.Close()
		for tick := time.NewTicker(2 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			log.WriteString("line\n")
		}
	})
	defer func() { cancel(); running.Wait(); w.Close() }()
	write(t, file, "22")
	select {
	case <-w.Changed():
	case <-time.After(10 * time.Second):
		t.Fatal("the change was not told while a neighbor was being written to")
	}
}
