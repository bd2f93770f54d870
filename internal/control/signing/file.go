package signing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/control/secret"
)

// read reads the file that write has written, unless others may read it, too: what
// they sign under its keys would be believed.
func read(path string) (*ring, error) {
	data, err := secret.Read(path, "remove it if others may have read it, then new keys are made")
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
