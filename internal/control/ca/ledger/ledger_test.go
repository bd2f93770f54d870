package ledger

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var at = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

func issued(serial string) Entry {
	return Entry{Event: Issued, At: at, Serial: serial, Subject: "CN=" + serial, Profile: "device", NotAfter: at.AddDate(1, 0, 0)}
}

func open(path string) (*File, error) { return OpenFile(path, path+".lock") }

func create(t *testing.T) (*File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	l, err := CreateFile(path, path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	return l, path
}

func add(t *testing.T, l *File, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t *testing.T, l *File) (n int) {
	t.Helper()
	for _, err := range l.Certificates(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestCreateOverwritesNothing(t *testing.T) {
	_, path := create(t)
	if _, err := CreateFile(path, path+".lock"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a ledger: %v, want ErrExist", err)
	}
}

// Whatever length of the last line a crash left behind, the lines before it
// stay and the next one is whole.
func TestAnUnfinishedLastLineIsCutOff(t *testing.T) {
	l, path := create(t)
	add(t, l, issued("01"))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(whole); n++ { // the same line again, without its newline
		if err := os.WriteFile(path, append(whole[:len(whole):len(whole)], whole[:n]...), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := open(path)
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		add(t, l, issued("02"))
		if l, err = open(path); err != nil || count(t, l) != 2 {
			t.Fatalf("after %d bytes: %v, want two certificates", n, err)
		}
	}
}

func TestAReplacedFileIsReadFromItsBeginning(t *testing.T) {
	l, path := create(t)
	add(t, l, issued("01"), issued("02"))
	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, issued("03"), issued("04"))
	if err := os.WriteFile(path+".old", older, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	if got := count(t, l); got != 2 {
		t.Errorf("%d certificates, want the two of the older file", got)
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	good := `{"event":"issued","at":"2026-11-22T02:00:00Z","serial":"01","subject":"CN=a","profile":"device","not_after":"2027-11-22T02:00:00Z"}`
	for _, tc := range []struct{ name, lines, want string }{
		{"garbage", "nonsense\n", ":2: not a ledger line"},
		{"an empty line", "\n", ":2: not a ledger line"},
		{"a future event", `{"event":"unrevoked","at":"2026-11-22T02:00:00Z","serial":"02"}` + "\n", `"event" is "unrevoked"`},
		{"a future field", `{"event":"revoked","at":"2026-11-22T02:00:00Z","serial":"02","except":"x"}` + "\n", "unknown field"},
		{"no time", `{"event":"revoked","serial":"02"}` + "\n", `"at" is missing`},
		{"a serial in lower case", `{"event":"revoked","at":"2026-11-22T02:00:00Z","serial":"0a"}` + "\n", `"serial" is "0a"`},
		{"half a byte", `{"event":"revoked","at":"2026-11-22T02:00:00Z","serial":"A"}` + "\n", `"serial" is "A"`},
		{"two objects", `{"event":"revoked","at":"2026-11-22T02:00:00Z","serial":"02"}{}` + "\n", "more than one"},
		{"issued twice", good + "\n", "issued already"},
		{"a number that goes back", `{"event":"listed","at":"2026-11-22T02:00:00Z","number":2}` + "\n" +
			`{"event":"listed","at":"2026-11-22T02:00:00Z","number":2}` + "\n", ":3: list number 2 does not follow 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.jsonl")
			if err := os.WriteFile(path, []byte(good+"\n"+tc.lines), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := open(path); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// What another process is about to write is neither read nor cut off by those
// who only look.
func TestAnUnfinishedLineIsLeftToWhoeverWritesIt(t *testing.T) {
	l, path := create(t)
	add(t, l, issued("01"))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	half := append(whole[:len(whole):len(whole)], whole[:20]...)
	if err := os.WriteFile(path, half, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := count(t, l); n != 1 {
		t.Errorf("%d certificates, want the one whose line is whole", n)
	}
	if after, err := os.ReadFile(path); err != nil || len(after) != len(half) {
		t.Errorf("%d bytes, %v; want the %d from before", len(after), err, len(half))
	}
}

// An older copy was written over the file, and another line after it, before the
// process looked again.
func TestLinesThatWereTakenBackAreForgotten(t *testing.T) {
	l, path := create(t)
	add(t, l, issued("01"))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, issued("02"))
	if n := count(t, other); n != 2 {
		t.Fatalf("%d certificates, want 2", n)
	}
	longer := issued("03")
	longer.Subject = strings.Repeat("x", 500)
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, third, longer)
	if _, ok, err := other.Find(t.Context(), "02"); ok || err != nil {
		t.Errorf("02 is still there, %v", err)
	}
	if _, ok, err := other.Find(t.Context(), "03"); !ok || err != nil {
		t.Errorf("03 is not there, %v", err)
	}
}

// A disk that takes nothing is an error for everybody who waits, and nobody
// remembers what was not written.
func TestNothingIsAcknowledgedThatIsNotWritten(t *testing.T) {
	l, path := create(t)
	add(t, l, issued("01"))
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), issued("02")); err == nil {
		t.Error("it was acknowledged without a file")
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := l.Find(t.Context(), "02"); ok || err != nil {
		t.Errorf("02 is remembered, %v", err)
	}
	add(t, l, issued("02"))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"event":"issued","at":"2026-11-22T02:00:00Z","serial":"01"}`))
	f.Add([]byte(`{"event":"listed","at":"2026-11-22T02:00:00Z","number":2}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parse(line)
		if err != nil {
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Skip(err) // a year beyond 9999 parses, but is not written
		}
		if e2, err := parse(again); err != nil || !cmp.Equal(e, e2) {
			t.Errorf("%q was read as %+v, then as %+v, %v", line, e, e2, err)
		}
	})
}
