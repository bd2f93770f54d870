package durable

import (
	"fmt"
	"os"
	"syscall"
)

// Lock waits until this caller alone holds the lock file at path, which is
// created when missing. It excludes other processes as well as other callers
// in this one; the kernel releases it when the process ends, however it ends.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f.Close, nil // closing the only descriptor releases the lock
}
