package audit

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var quiet = slog.New(slog.DiscardHandler)

func open(t *testing.T, dir string) *Trail {
	t.Helper()
	trail, err := Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trail.Close() })
	return trail
}

func entry(path string) Entry {
	return Entry{Event: Done, Who: Who{Kind: "token:local"}, From: netip.MustParseAddrPort("127.0.0.1:4000"), Method: "POST", Path: path}
}

func add(t *testing.T, trail *Trail, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if _, err := trail.Append(entry(p)); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestATrailIsTakenUpWhereItEnded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	trail := open(t, dir)
	add(t, trail, "/a", "/b")
	trail.Close()
	if _, err := trail.Append(entry("/late")); err == nil {
		t.Error("a closed trail takes entries")
	}
	add(t, open(t, dir), "/c")
	v, err := Verify(bytes.NewReader(read(t, dir)), "")
	if err != nil || v.Entries != 3 || v.Last == "" {
		t.Errorf("%+v, %v", v, err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, Name): 0o600} {
		if info, _ := os.Stat(path); info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	if !bytes.Contains(read(t, dir), []byte(`"sequence":1,`)) || !strings.Contains(string(read(t, dir)), `"previous":"`+strings.Repeat("0", 64)+`"`) {
		t.Error("the first line does not say that it is the first")
	}
}

func TestWhatWasEditedIsFound(t *testing.T) {
	dir := t.TempDir()
	add(t, open(t, dir), "/a", "/b", "/c", "/d")
	good := read(t, dir)
	lines := bytes.SplitAfter(good, []byte("\n"))[:4]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	whole, err := Verify(bytes.NewReader(good), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"a line changed":       {bytes.Replace(good, []byte("/b"), []byte("/x"), 1), "line 3"},
		"a line taken out":     {join(lines[0], lines[2], lines[3]), "line 2"},
		"the first taken out":  {join(lines[1:]...), "line 1"},
		"a line twice":         {join(lines[0], lines[1], lines[1], lines[2]), "line 3"},
		"two lines swapped":    {join(lines[0], lines[2], lines[1], lines[3]), "line 2"},
		"a field put in":       {bytes.Replace(good, []byte(`"method"`), []byte(`"note":"","method"`), 1), "line 1"},
		"the end cut off":      {good[:len(good)-3], "line 4"},
		"an empty line put in": {join(lines[0], []byte("\n"), lines[1]), "line 2"},
	} {
		_, err := Verify(bytes.NewReader(tt.data), "")
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	// Whole lines cut off, or written anew: only who has seen the digest knows.
	cut := join(lines[:3]...)
	if _, err := Verify(bytes.NewReader(cut), ""); err != nil {
		t.Errorf("a shorter trail is whole in itself: %v", err)
	}
	if _, err := Verify(bytes.NewReader(cut), whole.Last); err == nil || !strings.Contains(err.Error(), "the end of the trail is missing") {
		t.Errorf("a line that was seen is missing: %v", err)
	}
	if _, err := Verify(bytes.NewReader(good), strings.ToUpper(whole.Last)); err != nil {
		t.Error(err)
	}
}

// A crash in the middle of a line leaves one that nobody was told of.
func TestATornLineIsRemoved(t *testing.T) {
	dir := t.TempDir()
	trail := open(t, dir)
	add(t, trail, "/a")
	trail.Close()
	good := read(t, dir)
	for _, torn := range []string{`{"sequence":2`, `{}`, strings.Repeat("x", longest+100)} {
		if err := os.WriteFile(filepath.Join(dir, Name), append(bytes.Clone(good), torn...), 0o600); err != nil {
			t.Fatal(err)
		}
		trail := open(t, dir)
		if !bytes.Equal(read(t, dir), good) {
			t.Errorf("after %.20q the trail is %q", torn, read(t, dir))
		}
		add(t, trail, "/b")
		trail.Close()
		if v, err := Verify(bytes.NewReader(read(t, dir)), ""); err != nil || v.Entries != 2 {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

func TestWhatIsNoTrailIsNotContinued(t *testing.T) {
	for content, want := range map[string]string{
		"hello\n":                           "its last line is not an entry",
		"{}\n":                              "its last line is not an entry",
		strings.Repeat("x", 3*longest):      "longer than any",
		`{"sequence":1,"previous":""}` + "": "",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, Name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		trail, err := Open(dir, quiet)
		if err == nil {
			trail.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", content, err, want)
		}
	}
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, Name), nil, 0o644)
	if _, err := Open(dir, quiet); err == nil || !strings.Contains(err.Error(), "mode 0644, expected 0600") {
		t.Error(err)
	}
	dir = t.TempDir()
	os.Symlink("/dev/null", filepath.Join(dir, Name))
	if _, err := Open(dir, quiet); err == nil {
		t.Error("a symbolic link is followed")
	}
}

func TestATrailHasOneWriter(t *testing.T) {
	dir := t.TempDir()
	trail := open(t, dir)
	if _, err := Open(dir, quiet); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second writer: %v", err)
	}
	trail.Close()
	open(t, dir)
}

func TestATrailThatOthersTouchTakesNothing(t *testing.T) {
	for name, touch := range map[string]func(path string) error{
		"removed":   os.Remove,
		"moved":     func(path string) error { return os.Rename(path, path+".1") },
		"shortened": func(path string) error { return os.Truncate(path, 10) },
		"replaced": func(path string) error {
			data, _ := os.ReadFile(path)
			os.Rename(path, path+".1")
			return os.WriteFile(path, data, 0o600)
		},
	} {
		dir := t.TempDir()
		trail := open(t, dir)
		add(t, trail, "/a")
		if err := touch(trail.Path()); err != nil {
			t.Fatal(err)
		}
		if _, err := trail.Append(entry("/b")); err == nil {
			t.Errorf("%s: an entry was taken", name)
		}
	}
}

// A disk that is full is not for ever.
func TestALineThatCannotBeWrittenIsNotHalfThere(t *testing.T) {
	dir := t.TempDir()
	trail := open(t, dir)
	add(t, trail, "/a")
	was := trail.file
	var err error
	if trail.file, err = os.Open(trail.path); err != nil { // which cannot be written to
		t.Fatal(err)
	}
	was.Close()
	if _, err := trail.Append(entry("/b")); err == nil {
		t.Fatal("written to a file that is open for reading")
	}
	add(t, trail, "/c", "/d")
	if v, err := Verify(bytes.NewReader(read(t, dir)), ""); err != nil || v.Entries != 3 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestWhatStrangersChooseIsBounded(t *testing.T) {
	dir := t.TempDir()
	trail := open(t, dir)
	e := entry("/" + strings.Repeat("\x00é", 1<<20))
	e.Who.Subject, e.Query, e.Detail, e.Method = e.Path, e.Path, e.Path, e.Path
	if _, err := trail.Append(e); err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, dir)); n >= longest {
		t.Errorf("a line of %d bytes", n)
	}
	trail.Close()
	add(t, open(t, dir), "/b")
	if _, err := Verify(bytes.NewReader(read(t, dir)), ""); err != nil {
		t.Error(err)
	}
}

func TestManyWriteAtOnce(t *testing.T) {
	dir := t.TempDir()
	trail := open(t, dir)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				add(t, trail, "/x")
			}
		})
	}
	all.Wait()
	if v, err := Verify(bytes.NewReader(read(t, dir)), ""); err != nil || v.Entries != 40 {
		t.Errorf("%+v, %v", v, err)
	}
}

func FuzzLines(f *testing.F) {
	dir := f.TempDir()
	trail, err := Open(dir, quiet)
	if err != nil {
		f.Fatal(err)
	}
	trail.Append(entry("/a"))
	trail.Append(entry("/b"))
	trail.Close()
	good, _ := os.ReadFile(filepath.Join(dir, Name))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Verify(bytes.NewReader(data), "")
		if n := bytes.Count(data, []byte("\n")); v.Entries > uint64(n) || err == nil && v.Entries != uint64(n) {
			t.Errorf("%d entries in %d lines: %v", v.Entries, n, err)
		}
	})
}
