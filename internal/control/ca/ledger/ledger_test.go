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

func create(t *testing.T) (*Ledger, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	l, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return l, path
}

func add(t *testing.T, l *Ledger, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatWasAppendedIsReadAgain(t *testing.T) {
	l, path := create(t)
	add(t, l, issued("0A"), issued("FF01"),
		Entry{Event: Revoked, At: at.Add(time.Hour), Serial: "0A", Reason: "keyCompromise"},
		Entry{Event: Listed, At: at, Number: 7, NextUpdate: at.Add(time.Hour)},
		Entry{Event: Revoked, At: at, Serial: "77", Reason: "unspecified"})
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Certificate{
		{Serial: "0A", Subject: "CN=0A", Profile: "device", IssuedAt: at, NotAfter: at.AddDate(1, 0, 0), RevokedAt: at.Add(time.Hour), Reason: "keyCompromise"},
		{Serial: "FF01", Subject: "CN=FF01", Profile: "device", IssuedAt: at, NotAfter: at.AddDate(1, 0, 0)},
		{Serial: "77", RevokedAt: at, Reason: "unspecified"},
	}
	for _, l := range []*Ledger{l, again} {
		if diff := cmp.Diff(want, l.Certificates()); diff != "" {
			t.Error(diff)
		}
		if l.List().Number != 7 {
			t.Errorf("list number %d, want 7", l.List().Number)
		}
	}
	if c, ok := again.Find("0A"); !ok || !c.Revoked() {
		t.Errorf("0A: %+v, %t; want it revoked", c, ok)
	}
	if _, ok := again.Find("0B"); ok {
		t.Error("0B was found though never issued")
	}
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a ledger: %v, want ErrExist", err)
	}
}

func TestRefreshSeesWhatOthersAppended(t *testing.T) {
	a, path := create(t)
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, a, issued("01"))
	if err := b.Refresh(); err != nil {
		t.Fatal(err)
	}
	add(t, b, issued("02"))
	if err := a.Refresh(); err != nil {
		t.Fatal(err)
	}
	add(t, a, issued("03"))
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(c.Certificates()); got != 3 {
		t.Errorf("%d certificates, want 3", got)
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
		l, err := Open(path)
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		add(t, l, issued("02"))
		if l, err = Open(path); err != nil || len(l.Certificates()) != 2 {
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
	if err := l.Refresh(); err != nil {
		t.Fatal(err)
	}
	if got := len(l.Certificates()); got != 2 {
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
			if _, err := Open(path); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestAppendRefusesWhatCouldNotBeRead(t *testing.T) {
	l, path := create(t)
	add(t, l, issued("01"), Entry{Event: Revoked, At: at, Serial: "01"}, Entry{Event: Listed, At: at, Number: 3})
	before, _ := os.ReadFile(path)
	for _, e := range []Entry{
		{}, {Event: Issued, At: at}, {Event: "x", At: at}, {Event: Listed, At: at, Number: -1},
		issued("01"), {Event: Revoked, At: at, Serial: "01"}, {Event: Listed, At: at, Number: 3},
	} {
		if err := l.Append(e); err == nil {
			t.Errorf("%+v was appended", e)
		}
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Errorf("the file changed:\n%s", after)
	}
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
