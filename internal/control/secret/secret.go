// Package secret reads files that nobody but their owner may read.
package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxSize bounds such a file, in bytes: keys are small.
const maxSize = 1 << 20

// Read returns the content of the file at path. It is refused if others may read
// it, since they may have; exposed is what to do about it then. The error of a file
// that is not there is fs.ErrNotExist.
func Read(path, exposed string) ([]byte, error) {
	// O_NONBLOCK: a named pipe is a fault, not a wait for somebody to write to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxSize:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a small file")}
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s is open to others (mode %04o): expected 0600; %s", path, info.Mode().Perm(), exposed)
	}
	return io.ReadAll(io.LimitReader(f, maxSize))
}

// Disclosed is what to do about a private key that others may have read.
func Disclosed(path string) string {
	return fmt.Sprintf("close it with `chmod 600 %s`, and take what is in it for disclosed if others were on this machine", path)
}
