package founding_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/pemfile"
)

func found(t testing.TB) *ca.Authority {
	t.Helper()
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(t.TempDir(), "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// AWS refuses blank lines, text outside PEM blocks, and comments with a hyphen.
func TestTheBundleIsPEMAlone(t *testing.T) {
	a := found(t)
	data, err := os.ReadFile(a.Path(directory.BundleFile))
	if err != nil {
		t.Fatal(err)
	}
	want := pemfile.EncodeCertificates(a.Root(), a.Issuing())
	if diff := cmp.Diff(string(want), string(data)); diff != "" {
		t.Error(diff)
	}
	for n, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if strings.TrimSpace(line) == "" {
			t.Errorf("line %d is blank", n+1)
		}
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	a := found(t)
	before, err := os.ReadFile(a.Path(directory.RootKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		f    ca.Founding
		want string
	}{
		{ca.Founding{Config: ca.Config{Dir: a.Dir()}}, "holds an authority already"},
		{ca.Founding{Config: ca.Config{Dir: other}}, "is not empty (thesis.tex)"},
		{ca.Founding{Config: ca.Config{Dir: filepath.Join(other, "thesis.tex")}}, "not a directory"},
		{ca.Founding{Config: ca.Config{Dir: filepath.Join(other, "new")}, Key: "dsa"}, `key type "dsa"`},
		{ca.Founding{Config: ca.Config{Dir: filepath.Join(other, "new")}, Name: strings.Repeat("x", 64)}, "69 characters"},
		{ca.Founding{Config: ca.Config{Dir: filepath.Join(other, "new")}, RootLifetime: -1}, "lifetime"},
	} {
		if _, err := ca.Init(tc.f); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want %q", err, tc.want)
		}
	}
	if after, _ := os.ReadFile(a.Path(directory.RootKeyFile)); string(after) != string(before) {
		t.Error("the root's key changed")
	}
	if _, err := os.Stat(filepath.Join(other, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused init left its directory behind")
	}
	empty := t.TempDir()
	if err := os.Chmod(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(empty, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Init(ca.Founding{Config: ca.Config{Dir: empty}}); err != nil {
		t.Fatalf("an empty volume: %v", err)
	}
	if info, _ := os.Stat(empty); info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, want 0700", info.Mode().Perm())
	}
}

func TestOfTwoFoundersOneWins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	var wg sync.WaitGroup
	won := make(chan *ca.Authority, 4)
	for range cap(won) {
		wg.Go(func() {
			if a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: dir}}); err == nil {
				won <- a
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d of 4 founded an authority in one directory, want 1", len(won))
	}
	a, err := ca.Open(ca.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if winner := <-won; !a.Root().Equal(winner.Root()) {
		t.Error("the directory holds another authority than the winner's")
	}
}
