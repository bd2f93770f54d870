package watch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What nobody has taken yet is told together with what changes then.
func TestChangesThatNobodyTookAreToldWithLaterOnes(t *testing.T) {
	dir := t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	w, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Set([]string{c, b, a}); err != nil {
		t.Fatal(err)
	}
	change := func(names ...string) {
		t.Helper()
		for _, name := range names {
			file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			file.WriteString("more\n")
			file.Close()
		}
		if w.settled(w.settled(nil)) != nil {
			t.Fatal("two looks in a row see different files")
		}
	}
	for _, tc := range []struct {
		changes [][]string
		want    []string
	}{
		{[][]string{{b}}, []string{b}},
		{[][]string{{c, a}}, []string{a, c}},
		{[][]string{{b}, {c, b}, {a}}, []string{a, b, c}},
	} {
		for _, names := range tc.changes {
			change(names...)
		}
		if got := <-w.Changed(); !slices.Equal(got, tc.want) {
			t.Errorf("%q are told as %q, want %q", tc.changes, got, tc.want)
		}
	}
}
