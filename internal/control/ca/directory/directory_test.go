package directory_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/directory"
)

func found(t testing.TB) *ca.Authority {
	t.Helper()
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(t.TempDir(), "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOpenRefusesWhatDoesNotHoldTogether(t *testing.T) {
	a := found(t)
	b := found(t)
	for _, tc := range []struct {
		name  string
		spoil func(dir string) error
		want  string
	}{
		{"nothing there", func(dir string) error { return os.RemoveAll(dir) }, "countersign ca init"},
		{"no issuing certificate", func(dir string) error { return os.Remove(filepath.Join(dir, directory.IssuingCertFile)) }, "issuing.crt"},
		{"no issuing key", func(dir string) error { return os.Remove(filepath.Join(dir, directory.IssuingKeyFile)) }, "issuing.key"},
		{"no ledger", func(dir string) error { return os.Remove(filepath.Join(dir, directory.LedgerFile)) }, "memory of what was revoked"},
		{"another's issuing key", func(dir string) error {
			return copyFile(b.Path(directory.IssuingKeyFile), filepath.Join(dir, directory.IssuingKeyFile))
		}, "issuing.key: the private key does not belong"},
		{"another's root key", func(dir string) error {
			return copyFile(b.Path(directory.RootKeyFile), filepath.Join(dir, directory.RootKeyFile))
		}, "root.key: the private key does not belong"},
		{"another's root", func(dir string) error {
			return copyFile(b.Path(directory.RootCertFile), filepath.Join(dir, directory.RootCertFile))
		}, "was not signed by"},
		{"an intermediate as root", func(dir string) error {
			return copyFile(a.Path(directory.IssuingCertFile), filepath.Join(dir, directory.RootCertFile))
		}, "not a root"},
		{"a key for everybody", func(dir string) error { return os.Chmod(filepath.Join(dir, directory.IssuingKeyFile), 0o644) }, "chmod 600"},
		{"a root key for the group", func(dir string) error { return os.Chmod(filepath.Join(dir, directory.RootKeyFile), 0o640) }, "chmod 600"},
		{"a directory for the group", func(dir string) error { return os.Chmod(dir, 0o770) }, "chmod 700"},
		{"a directory for everybody", func(dir string) error { return os.Chmod(dir, 0o777) }, "chmod 700"},
		{"a certificate that is none", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, directory.RootCertFile), []byte("x"), 0o600)
		}, "no PEM block"},
		{"a ledger of another kind", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, directory.LedgerFile), []byte("x\n"), 0o600)
		}, "ledger.jsonl:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "pki")
			if err := os.CopyFS(dir, os.DirFS(a.Dir())); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, 0o700); err != nil { // CopyFS opens it, and the files, wide
				t.Fatal(err)
			}
			for _, key := range []string{directory.RootKeyFile, directory.IssuingKeyFile} {
				if err := os.Chmod(filepath.Join(dir, key), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := directory.Open(directory.Config{Dir: dir}); err != nil {
				t.Fatalf("before it was spoilt: %v", err)
			}
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := directory.Open(directory.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
