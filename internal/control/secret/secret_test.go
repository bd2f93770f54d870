package secret_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"countersign.dev/internal/control/secret"
)

func TestOnlyTheOwnerMayReadIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, open := range map[fs.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o622: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		data, err := secret.Read(path, "make another")
		if open {
			if err == nil || data != nil || !strings.HasSuffix(err.Error(), "expected 0600; make another") || strings.Contains(err.Error(), "secret") {
				t.Errorf("mode %04o: %q, %v", mode, data, err)
			}
		} else if string(data) != "secret" || err != nil {
			t.Errorf("mode %04o: %q, %v", mode, data, err)
		}
	}
}

func TestOnlyASmallFileIsRead(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "large", "."} {
		if _, err := secret.Read(filepath.Join(dir, name), ""); err == nil || !strings.Contains(err.Error(), "not a small file") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := secret.Read(filepath.Join(dir, "none"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
