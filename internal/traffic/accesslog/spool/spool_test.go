package spool

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A screen is a standard output that tells when something arrives.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	arrived chan struct{}
	err     error         // given back by Write, after n bytes
	n       int           //
	gate    chan struct{} // when not nil, Write waits for it
}

func newScreen() *screen { return &screen{arrived: make(chan struct{}, 100)} }

func (s *screen) Write(b []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		n, err := min(s.n, len(b)), s.err
		s.text.Write(b[:n])
		s.err = nil
		return n, err
	}
	defer func() {
		select {
		case s.arrived <- struct{}{}:
		default:
		}
	}()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func open(t testing.TB, c Config[string]) *Spool[string] {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Append = func(dst []byte, s string) []byte { return append(append(dst, s...), '\n') }
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func closeSpool(t *testing.T, s *Spool[string]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestALineShowsWithoutWaitingForMore(t *testing.T) {
	out := newScreen()
	s := open(t, Config[string]{Path: "-", Stdout: out})
	s.Offer("first")
	<-out.arrived
	// The second comes within the pause after the first, and still by itself.
	s.Offer("second")
	<-out.arrived
	if got := out.String(); got != "first\nsecond\n" {
		t.Errorf("got %q", got)
	}
}

func TestAFileIsAppendedToAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	for range 2 {
		s := open(t, Config[string]{Path: path})
		s.Offer("/")
		closeSpool(t, s)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(got, []byte("\n")); n != 2 {
		t.Errorf("%d lines, want 2: %s", n, got)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode&^0o640 != 0 {
		t.Errorf("mode %v, want at most 0640: the log names people's devices", mode)
	}
}

func TestReopenAfterRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	s := open(t, Config[string]{Path: path})
	s.Offer("/before")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.Offer("/between")
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	s.Offer("/after")
	closeSpool(t, s)
	for name, want := range map[string][]string{path + ".1": {"/before", "/between"}, path: {"/after"}} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n")); n != len(want) {
			t.Errorf("%s: %d lines, want %v", name, n, want)
		}
		for _, w := range want {
			if !bytes.Contains(b, []byte(w)) {
				t.Errorf("%s lacks %s", name, w)
			}
		}
	}

	if err := s.Reopen(); err == nil {
		t.Error("reopening a closed log: want an error")
	}
}

func TestReopenThatFailsKeepsTheOldFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.log")
	s := open(t, Config[string]{Path: path})
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v, want that the directory is missing", err)
	}
	s.Offer("/still")
	closeSpool(t, s)
	if b, _ := os.ReadFile(filepath.Join(dir+".old", "access.log")); !bytes.Contains(b, []byte("/still")) {
		t.Errorf("the old file has %q", b)
	}
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	out := newScreen()
	out.gate = make(chan struct{})
	s := open(t, Config[string]{Path: "-", Queue: 8, Stdout: out})
	const sent = 100
	for range sent {
		s.Offer("/")
	}
	close(out.gate)
	closeSpool(t, s)
	written := strings.Count(out.String(), "\n")
	if written < 8 || written == sent {
		t.Errorf("%d of %d lines were written with a queue of 8 and an output that waits", written, sent)
	}
	if got := s.Dropped(); got != uint64(sent-written) {
		t.Errorf("%d counted as dropped, %d are missing", got, sent-written)
	}

	s.Offer("/late")
	if got := s.Dropped(); got != uint64(sent-written)+1 {
		t.Errorf("an event after Close was not counted")
	}
}

func TestAQueueOfLargeEventsIsBoundedToo(t *testing.T) {
	out := newScreen()
	out.gate = make(chan struct{})
	s := open(t, Config[string]{Path: "-", Bytes: 100, Stdout: out, Size: func(e string) int { return len(e) }})
	for range 20 {
		s.Offer(strings.Repeat("x", 30))
	}
	// Three may wait, beside those that the owner has taken for its first write.
	if n := s.Waiting(); n > 3 {
		t.Errorf("%d events of 30 bytes wait, 100 bytes may", n)
	}
	close(out.gate)
	for s.Waiting() > 0 {
		runtime.Gosched()
	}
	for !s.Offer("there is room again") {
		runtime.Gosched()
	}
	closeSpool(t, s)
	if lost, written := s.Dropped(), strings.Count(out.String(), "xxx\n"); lost == 0 || written == 0 {
		t.Errorf("%d lost, %d written", lost, written)
	}
}

func TestCloseGivesUpOnAnOutputThatIsStuck(t *testing.T) {
	out := newScreen()
	out.gate = make(chan struct{})
	s := open(t, Config[string]{Path: "-", Stdout: out})
	s.Offer("/")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the time was up", err)
	}
	close(out.gate)
	closeSpool(t, s) // a second Close waits again
}

func TestWriteErrorsAreCountedAndToldOnce(t *testing.T) {
	out := newScreen()
	var told bytes.Buffer
	s := open(t, Config[string]{Path: "-", Stdout: out, Logger: slog.New(slog.NewTextHandler(&told, nil))})
	fail := func(n int) {
		out.mu.Lock()
		out.err, out.n = errors.New("no space left on device"), n
		out.mu.Unlock()
	}
	fail(0)
	s.Offer("/lost")
	for s.WriteErrors() == 0 {
		runtime.Gosched()
	}
	fail(10) // within a line
	s.Offer("/torn-in-the-middle")
	for s.WriteErrors() == 1 {
		runtime.Gosched()
	}
	s.Offer("/whole")
	closeSpool(t, s)

	lines := strings.Split(out.String(), "\n")
	if len(lines) != 3 || len(lines[0]) != 10 || !strings.Contains(lines[1], "/whole") {
		t.Errorf("got %q, want a torn line, a whole one, nothing", lines)
	}
	if s.Dropped() != 2 || s.WriteErrors() != 2 {
		t.Errorf("%d lost lines in %d failed writes, want 2 and 2", s.Dropped(), s.WriteErrors())
	}
	if got := strings.Count(told.String(), "level=ERROR"); got != 1 || !strings.Contains(told.String(), "no space left") {
		t.Errorf("the operator was told %d times, want once: %s", got, told.String())
	}
}

// That it is over is said once, with what it has cost since the last time; a disk
// that is full every other moment does not fill the program's log either.
func TestThatALogCanBeWrittenAgainIsToldOnce(t *testing.T) {
	var told bytes.Buffer
	out := newScreen()
	o := &output{path: "access.log", w: out, logger: slog.New(slog.NewTextHandler(&told, nil))}
	write := func(err error) {
		out.err, out.n = err, 0
		o.write([]byte("1\n2\n3\n"), 3)
	}
	full := errors.New("no space left on device")
	said := func(when, want string) {
		t.Helper()
		var got []string
		for line := range strings.Lines(told.String()) {
			_, text, _ := strings.Cut(line, "msg=")
			got = append(got, text)
		}
		if told.Reset(); strings.Join(got, "") != want {
			t.Errorf("%s it says %q, want %q", when, strings.Join(got, ""), want)
		}
	}
	const (
		lost  = "\"a log cannot be written; its lines are lost\" path=access.log error=\"no space left on device\" failed_writes="
		again = "\"a log can be written again\" path=access.log failed_writes="
	)
	write(nil)
	said("while all is well", "")
	write(full)
	said("at the first failure", lost+"1 lines_lost=3\n")
	write(full)
	said("at the next one", "")
	write(nil)
	said("when it is over", again+"2 lines_lost=6\n")
	write(nil)
	said("later", "")
	write(full)
	write(nil)
	write(full)
	write(nil)
	said("within the minute", "")
	o.reported = o.reported.Add(-time.Minute)
	write(nil)
	said("after it", again+"2 lines_lost=6\n")
	o.reported = o.reported.Add(-time.Minute)
	write(full)
	said("at a failure after another", lost+"1 lines_lost=3\n")
}

func TestANamedPipeThatNobodyReadsIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(Config[string]{Path: path}); !errors.Is(err, syscall.ENXIO) || s != nil {
		t.Errorf("got %v, want that nobody reads the pipe", err)
	}
}
