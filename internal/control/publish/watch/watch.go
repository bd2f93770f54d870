package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Config says how a Watcher waits. Its zero value works.
type Config struct {
	// Settle is how long the files must be as they are before a change is told,
	// so that a certificate and its key, written one after the other, are one
	// change. 0: 50 ms.
	Settle time.Duration
	// Sweep is how often names are looked at even if the kernel reported
	// nothing, as on network file systems. 0: 10 s.
	Sweep time.Duration
}

// A Watcher watches a set of names.
type Watcher struct {
	cfg     Config
	notify  *fsnotify.Watcher
	changed chan []string

	mu    sync.Mutex
	files []string
	dirs  map[string]bool // with a kernel watch
	seen  map[string]string
}

// New returns a Watcher that watches nothing yet. Close releases it.
func New(cfg Config) (*Watcher, error) {
	if cfg.Settle <= 0 {
		cfg.Settle = 50 * time.Millisecond
	}
	if cfg.Sweep <= 0 {
		cfg.Sweep = 10 * time.Second
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	return &Watcher{cfg: cfg, notify: notify, changed: make(chan []string, 1), dirs: map[string]bool{}}, nil
}

// Changed receives the names of files after they have changed, sorted; several
// changes in quick succession are one value.
func (w *Watcher) Changed() <-chan []string { return w.changed }

// Close ends the kernel's watches and Run.
func (w *Watcher) Close() error { return w.notify.Close() }

// Set replaces the set of names and takes what is behind them now as known.
// Call it before the files are read, so that a change during the reading is
// told. The error joins the directories that cannot be watched; those files are
// still swept.
func (w *Watcher) Set(files []string) error { return w.set(files, false) }

// Amend is Set for files of which some have been read already: of a name that
// was watched before, what was known stays known, so that a change since is told.
func (w *Watcher) Amend(files []string) error { return w.set(files, true) }

func (w *Watcher) set(files []string, keep bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files = append([]string(nil), files...)
	err := w.rewatch()
	known := w.seen
	w.seen = w.look()
	for name := range w.seen {
		if was, ok := known[name]; keep && ok {
			w.seen[name] = was
		}
	}
	return err
}

// rewatch puts a kernel watch on every directory in which an event can change
// what one of the names means.
func (w *Watcher) rewatch() error {
	want := map[string]bool{}
	for _, f := range w.files {
		for _, dir := range directories(f) {
			want[dir] = true
		}
	}
	var errs []error
	for dir := range w.dirs {
		if !want[dir] {
			w.notify.Remove(dir) // may be gone already
			delete(w.dirs, dir)
		}
	}
	for dir := range want {
		// Added again even if it was: the directory of that name may be another one now.
		if err := w.notify.Add(dir); err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, fmt.Errorf("watch directory %s: %w", dir, err))
			}
			continue
		}
		w.dirs[dir] = true
	}
	return errors.Join(errs...)
}

// directories returns the directory of name and of every symbolic link on the
// way to the file that it finally is.
func directories(name string) []string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil
	}
	var dirs []string
	const mostLinks = 40 // as the kernel's own limit
	for range mostLinks {
		dirs = append(dirs, filepath.Dir(abs))
		next, ok := followFirstLink(abs, &dirs)
		if !ok {
			break
		}
		abs = next
	}
	return dirs
}

// followFirstLink replaces the first component of abs that is a symbolic link
// by its target, and notes the directory in which the link lies.
func followFirstLink(abs string, dirs *[]string) (string, bool) {
	sep := string(filepath.Separator)
	parts := strings.Split(strings.TrimPrefix(abs, sep), sep)
	at := sep
	for i, part := range parts {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil {
			return "", false
		}
		if info.Mode()&os.ModeSymlink == 0 {
			continue
		}
		target, err := os.Readlink(at)
		if err != nil {
			return "", false
		}
		*dirs = append(*dirs, filepath.Dir(at))
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		return filepath.Join(append([]string{target}, parts[i+1:]...)...), true
	}
	return "", false
}

// look describes what is behind each name at the moment.
func (w *Watcher) look() map[string]string {
	seen := make(map[string]string, len(w.files))
	for _, f := range w.files {
		info, err := os.Stat(f)
		if err != nil {
			seen[f] = "absent"
			continue
		}
		seen[f] = identity(info)
	}
	return seen
}

// Run tells of changes until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	sweep := time.NewTicker(w.cfg.Sweep)
	defer sweep.Stop()
	var due <-chan time.Time // the next look; nil: none is needed
	var last map[string]string
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.notify.Events:
			if !ok {
				return nil
			}
		case _, ok := <-w.notify.Errors: // an overflow: events were lost
			if !ok {
				return nil
			}
		case <-sweep.C:
		case <-due:
			due = nil
			if last = w.settled(last); last == nil {
				continue
			}
		}
		// A look that is due is not put off: a log in the same directory makes an
		// event with every line.
		if due == nil {
			due = time.After(w.cfg.Settle)
		}
	}
}

// settled looks at the files. It tells of a change once two looks in a row see
// the same one, and returns what it saw for as long as they do not.
func (w *Watcher) settled(last map[string]string) map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.look()
	switch {
	case maps.Equal(now, w.seen):
		return nil
	case !maps.Equal(now, last):
		return now
	}
	names := w.differing(now)
	w.seen = now
	w.rewatch() // what cannot be watched is swept
	select {
	case untold := <-w.changed:
		names = append(names, untold...)
	default:
	}
	slices.Sort(names)
	w.changed <- slices.Compact(names) // nobody else sends, so that there is room
	return nil
}

// differing are the names behind which something else is now than before.
func (w *Watcher) differing(now map[string]string) []string {
	var names []string
	for name, is := range now {
		if w.seen[name] != is {
			names = append(names, name)
		}
	}
	return names
}
