package revocation

import (
	"bytes"
	"crypto/sha256"
	"io"

	"countersign.dev/internal/traffic/background"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A Cache keeps the lists that were read for one configuration, so that each
// file is read once however many trust stores name it, and not again for the
// next configuration if it has not changed. The zero value is empty. It is not
// safe for concurrent use.
type Cache struct {
	files map[string]*content // by name
}

// A content is what a file had in it.
type content struct {
	size  int64
	sum   [sha256.Size]byte
	lists []*crl.List
}

// A File is open for reading, at its start.
type File interface {
	io.ReadSeeker
	Name() string
}

// Load returns the lists of a file of at most limit bytes. before, which may be
// nil, is the cache of the configuration that this one is to replace: what is in
// it is not parsed again, and traffic goes before parsing. The error is that of crl.Read, or *SizeError.
func (c *Cache) Load(f File, limit int64, limits crl.Limits, before *Cache) ([]*crl.List, error) {
	found := c.files[f.Name()]
	var err error
	if found == nil {
		if found, err = before.same(f, limit); err != nil {
			return nil, err
		}
	}
	if found == nil {
		if before != nil && limits.Pause == nil {
			var work background.Work // for there is traffic
			limits.Pause = func() { work.Pause() }
		}
		if found, err = read(f, limit, limits); err != nil {
			return nil, err
		}
	}
	if found.size > limit {
		return nil, &SizeError{limit}
	}
	entries := 0
	for _, l := range found.lists {
		entries += l.Len()
	}
	if limits.Entries > 0 && entries > limits.Entries {
		return nil, &crl.EntriesError{Most: limits.Entries}
	}
	if c.files == nil {
		c.files = map[string]*content{}
	}
	c.files[f.Name()] = found
	return found.lists, nil
}

// A SizeError says that a file is larger than it may be.
type SizeError struct{ Limit int64 }

// Error says that much.
func (e *SizeError) Error() string { return "the file is too large" }

// same returns the content of f if c has it, under whichever name.
func (c *Cache) same(f File, limit int64) (*content, error) {
	if c == nil || len(c.files) == 0 {
		return nil, nil
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var sum []byte
	for _, known := range c.files {
		if known.size != size || size > limit {
			continue
		}
		if sum == nil {
			h := sha256.New()
			if _, err := io.Copy(h, io.LimitReader(f, limit+1)); err != nil {
				return nil, err
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
			sum = h.Sum(nil)
		}
		if bytes.Equal(known.sum[:], sum) {
			return known.named(f.Name()), nil
		}
	}
	return nil, nil
}

// named returns the content with lists that say that they are of that file.
func (c *content) named(file string) *content {
	again := &content{size: c.size, sum: c.sum}
	for _, l := range c.lists {
		if l.Name != file {
			l = l.Named(file)
		}
		again.lists = append(again.lists, l)
	}
	return again
}

// read parses a file, and sums it up on the way.
func read(f File, limit int64, limits crl.Limits) (*content, error) {
	bounded := &io.LimitedReader{R: f, N: limit + 1}
	h := sha256.New()
	lists, err := crl.Read(f.Name(), io.TeeReader(bounded, h), limits)
	if bounded.N == 0 {
		return nil, &SizeError{limit}
	}
	if err != nil {
		return nil, err
	}
	c := &content{size: limit + 1 - bounded.N, lists: lists}
	h.Sum(c.sum[:0])
	return c, nil
}
