package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/control/source/origin"
)

// A Copy is what a source had at one moment. It does not change.
type Copy struct {
	facts
	name string   // of the source, for messages
	file *os.File // has no name on disk any more, or is a kept one
	at   int64    // where the content begins
}

// facts are the first line of a kept copy, as JSON; the content follows.
type facts struct {
	URL string `json:"url"`
	origin.Version
	Fetched time.Time `json:"fetched"`
	Size    int64     `json:"size"`
	SHA256  string    `json:"sha256"`
}

// Open returns the content, from its start.
func (c *Copy) Open() *Content {
	return &Content{io.NewSectionReader(c.file, c.at, c.Size), c.name}
}

// same reports whether two copies, either of which may be nil, have one content.
func (c *Copy) same(other *Copy) bool {
	return c != nil && other != nil && c.SHA256 == other.SHA256 && c.Size == other.Size
}

// Close releases the copy, which may be nil.
func (c *Copy) Close() {
	if c != nil {
		c.file.Close() // nothing is written to it any more
	}
}

// Content reads a Copy.
type Content struct {
	*io.SectionReader
	name string
}

// Name is that of the source.
func (c *Content) Name() string { return c.name }

// fetch returns what a source has, in a file in scratch that has no name:
// however the program ends, nothing is left. The error may be
// origin.ErrUnchanged; known may be nil.
func fetch(ctx context.Context, spec origin.Spec, known *Copy, scratch string, now time.Time) (*Copy, error) {
	file, err := os.CreateTemp(scratch, "incoming-*") // 0600
	if err == nil {
		err = os.Remove(file.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("no place for what is fetched: %w", err)
	}
	var version origin.Version
	if known != nil {
		version = known.Version
	}
	sum := sha256.New()
	c := &Copy{name: spec.Name(), file: file, facts: facts{URL: spec.URL, Fetched: now.UTC()}}
	if c.Version, err = origin.Fetch(ctx, spec, version, io.MultiWriter(file, sum)); err == nil {
		c.Size, err = file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return c, nil
}

// pathOf is where the copy of a source is kept, the directory being data_dir.
func pathOf(dir string, spec origin.Spec) string {
	sum := sha256.Sum256([]byte(spec.URL))
	return filepath.Join(keepIn(dir), hex.EncodeToString(sum[:16])+".copy")
}

// keepIn is the directory of copies.
func keepIn(dir string) string { return filepath.Join(dir, "sources") }

// keep writes the copy to the file at path, in one step (mode 0600).
func (c *Copy) keep(path string) error {
	head, err := json.Marshal(c.facts)
	if err != nil {
		return err
	}
	return durable.Replace(path, io.MultiReader(bytes.NewReader(append(head, '\n')), c.Open()), 0o600)
}

// maxHead bounds the first line of a kept copy.
const maxHead = 64 << 10

// load returns the copy of a source that is kept at path; nil if there is none.
func load(path string, spec origin.Spec) (*Copy, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &Copy{file: file, name: spec.Name()}
	if err := c.read(spec); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// read reads the first line, and holds it against the content.
func (c *Copy) read(spec origin.Spec) error {
	info, err := c.file.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to it (mode %04o), so that it says nothing; want 0600", info.Mode().Perm())
	}
	head, err := bufio.NewReader(io.LimitReader(c.file, maxHead)).ReadBytes('\n')
	if err != nil {
		return errors.New("it is damaged: its first line does not end")
	}
	if err := json.Unmarshal(head, &c.facts); err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	c.at = int64(len(head))
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(c.file, c.at, info.Size()-c.at))
	switch {
	case err != nil:
		return err
	case c.URL != spec.URL:
		return fmt.Errorf("it is of %s", c.URL)
	case n != c.Size || hex.EncodeToString(sum.Sum(nil)) != c.SHA256:
		return errors.New("it is damaged: the content is not what its first line says")
	}
	return nil
}
