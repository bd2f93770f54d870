package signing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"countersign.dev/internal/control/durable"
)

// read reads the file that write has written. It refuses one that others may read:
// what they sign under its keys would be believed.
func read(path string) (*ring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): expected 0600; remove it if they may have, then new keys are made", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &ring{}
	if err = json.Unmarshal(data, r); err == nil {
		err = r.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not have the keys that sign tokens: %w; restore it, or remove it for new ones", path, err)
	}
	return r, nil
}

// write keeps r at path; "" keeps nothing.
func (r *ring) write(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, append(data, '\n'), 0o600)
}

// missing reports whether there is no file yet.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
