package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile is Replace with data.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return Replace(path, bytes.NewReader(data), mode)
}

// Replace puts content at path with exactly the permission bits of mode,
// whatever the umask, replacing what was there in one step.
func Replace(path string, content io.Reader, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	// A leading dot keeps a left-over of a crash out of `*.crt` patterns;
	// CreateTemp opens with 0600, so that a key is never readable meanwhile.
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return SyncDir(dir)
}

// CreateFile is WriteFile for a name that must not exist yet: it fails with
// fs.ErrExist and leaves the other file alone. The name is reserved with an
// empty file first, which is all that a crash can leave behind.
func CreateFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err // an *fs.PathError: names the operation and the path
	}
	err = f.Close()
	if err == nil {
		err = WriteFile(path, data, mode)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// SyncDir makes the names in dir (created, renamed, removed) survive a crash.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
