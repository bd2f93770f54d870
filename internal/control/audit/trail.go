package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Name is that of the file in a node's data_dir.
const Name = "audit.jsonl"

// A Trail is an open file of entries that this process alone adds to. It is safe
// for concurrent use.
type Trail struct {
	path   string
	logger *slog.Logger

	mu       sync.Mutex
	file     *os.File // nil: closed, or to be opened again
	size     int64
	sequence uint64
	previous digest
	closed   bool
}

// Open opens the trail in dir, which is made when it is missing (0700). A last
// line without its end was never acknowledged, and is removed.
func Open(dir string, logger *slog.Logger) (*Trail, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit trail: %w", err)
	}
	t := &Trail{path: filepath.Join(dir, Name), logger: logger}
	if err := t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

// Path is that of the file.
func (t *Trail) Path() string { return t.path }

func (t *Trail) open() (err error) {
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return fmt.Errorf("audit trail: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("audit trail: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("audit trail %s is not a file", t.path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("audit trail %s has mode %04o, expected 0600: others could have written to it; chmod 600 it once you have looked at it (countersign audit verify)", t.path, info.Mode().Perm())
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("audit trail %s is of user %d, expected %d, as whom the node runs: that user could have written to it; move it away once you have looked at it", t.path, stat.Uid, os.Geteuid())
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("audit trail %s is in use by another process (%w): each node has a data_dir of its own", t.path, err)
	}
	last, size, err := tail(f, info.Size())
	if err != nil {
		return fmt.Errorf("audit trail %s: %w", t.path, err)
	}
	if size < info.Size() {
		if err := f.Truncate(size); err != nil {
			return fmt.Errorf("audit trail: %w", err)
		}
		t.logger.Warn("the audit trail ended within a line, which was never acknowledged and has been removed", "file", t.path, "bytes", info.Size()-size)
	}
	var sequence uint64
	var previous digest
	if len(last) > 0 {
		var e Entry
		if err := json.Unmarshal(last, &e); err != nil || e.Sequence == 0 {
			return fmt.Errorf("audit trail %s: its last line is not an entry; countersign audit verify says more; move the file away to begin another", t.path)
		}
		sequence, previous = e.Sequence, digestOf(last)
	}
	t.file, t.size, t.sequence, t.previous = f, size, sequence, previous
	// A new file has to be found after a crash, too.
	return syncDir(filepath.Dir(t.path))
}

// longest bounds a line. An entry has a few texts of a kilobyte, each byte of
// which JSON writes with six at most.
const longest = 64 << 10

// tail returns the last whole line of a file, and where it ends.
func tail(f *os.File, size int64) (line []byte, end int64, err error) {
	from := max(size-2*longest, 0)
	buf := make([]byte, size-from)
	if _, err := f.ReadAt(buf, from); err != nil && err != io.EOF {
		return nil, 0, err
	}
	whole := buf[:bytes.LastIndexByte(buf, '\n')+1]
	if len(whole) == 0 {
		if from > 0 {
			return nil, 0, errors.New("its last line is longer than any that was written")
		}
		return nil, 0, nil
	}
	return whole[bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1:], from + int64(len(whole)), nil
}

// Append adds a line, and returns when it is on the disk. Sequence, Time and
// Previous are filled in, and Request where it is 0. Whoever gets an error must
// not do what the line says.
func (t *Trail) Append(e Entry) (sequence uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, errors.New("the audit trail is closed")
	}
	if t.file == nil { // the last line could not be written
		if err := t.open(); err != nil {
			return 0, err
		}
	}
	if err := t.untouched(); err != nil {
		return 0, err
	}
	e.Sequence, e.Time, e.Previous = t.sequence+1, time.Now().UTC(), t.previous.String()
	if e.Request == 0 {
		e.Request = e.Sequence
	}
	e.cut()
	line, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("audit trail: %w", err)
	}
	line = append(line, '\n')
	_, err = t.file.Write(line)
	if err == nil {
		err = t.file.Sync()
	}
	if err != nil {
		// What is on the disk is not known: it is looked at before the next line.
		t.file.Truncate(t.size)
		t.file.Close()
		t.file = nil
		return 0, fmt.Errorf("audit trail: %w", err)
	}
	t.size += int64(len(line))
	t.sequence, t.previous = e.Sequence, digestOf(line)
	t.logger.Info("audit", "event", e.Event, "who", e.Who.String(), "from", e.From.String(), "method", e.Method, "path", e.Path,
		"status", e.Status, "sequence", e.Sequence, "sha256", t.previous.String())
	return e.Sequence, nil
}

// untouched refuses a file that somebody else has changed or put away.
func (t *Trail) untouched() error {
	here, err := os.Lstat(t.path)
	if err != nil {
		return fmt.Errorf("audit trail: %w: put it back where it was", err)
	}
	ours, err := t.file.Stat()
	if err != nil {
		return fmt.Errorf("audit trail: %w", err)
	}
	if !os.SameFile(here, ours) || ours.Size() != t.size {
		return fmt.Errorf("audit trail %s was changed by somebody else: it had %d bytes after its last line; "+
			"countersign audit verify says whether it is whole; it is taken up again when the node starts", t.path, t.size)
	}
	return nil
}

// Close closes the file.
func (t *Trail) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("audit trail: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("audit trail: %w", err)
	}
	return nil
}
