package points

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign.dev/internal/control/durable"
)

// maxFile bounds the file.
const maxFile = 64 << 20

// written is a point in the file.
type written struct {
	URL     string    `json:"url"`
	Needed  time.Time `json:"needed"`
	Issuers [][]byte  `json:"issuers"`
}

// pathIn is the file in data_dir.
func pathIn(dir string) string { return filepath.Join(dir, "sources", "points.json") }

// Load reads what was remembered in a directory, data_dir, for these trust
// stores, and remembers there what comes from now on, unless look is set. A
// second call does nothing. What cannot be read is told to the log: what it said
// is found again as clients come.
func (b *Book) Load(dir string, look bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.path != "" || dir == "" {
		return
	}
	stores, err := read(pathIn(dir))
	if err != nil {
		b.cfg.Logger.Error("which revocation lists certificates named is not remembered", "error", err)
	}
	for name, all := range stores {
		points := map[string]*point{}
		for _, w := range all {
			p := &point{url: w.URL, asked: b.cfg.Now(), settled: make(chan struct{}), issuers: w.Issuers}
			p.needed.Store(w.Needed.Unix())
			points[w.URL] = p
		}
		b.shelf(name).points.Store(&points)
	}
	if !look {
		b.path = pathIn(dir)
	}
}

func read(path string) (stores map[string][]written, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s: others may write to it (mode %04o), so that it says nothing; want 0600", path, info.Mode().Perm())
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes; want at most %d", path, info.Size(), maxFile)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &stores)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return stores, nil
}

// save writes the file if it says something else; the caller holds the lock.
func (b *Book) save() {
	if !b.dirty || b.path == "" {
		return
	}
	stores := map[string][]written{}
	for name, s := range b.stores {
		known := *s.points.Load()
		for _, url := range slices.Sorted(maps.Keys(known)) {
			p := known[url]
			stores[name] = append(stores[name], written{url, time.Unix(p.needed.Load(), 0).UTC(), p.issuers})
		}
	}
	data, err := json.Marshal(stores)
	if err == nil {
		err = durable.WriteFile(b.path, append(data, '\n'), 0o600)
	}
	if err != nil {
		b.cfg.Logger.Error("which revocation lists certificates name cannot be written down", "error", err)
		return
	}
	b.dirty = false
}

// changed says that the file is to be written, sooner or later.
func (b *Book) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty = true
}

// refused tells the log of a list that may not be asked for.
func (b *Book) refused(a *Inquirer, url string, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.warn(a.shelf, why.Error(), "a client's certificate names a revocation list that is not fetched", "trust_store", a.store, "list", url, "because", why)
}
