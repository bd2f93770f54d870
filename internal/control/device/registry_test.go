package device

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/device/spool"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/sqlite"
	"github.com/google/go-cmp/cmp"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ann  = Author{Who: "operator CN=ann", Why: "ticket 7"}
)

func registry(t testing.TB, ids IDs) *Registry {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "countersign.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return New(Config{Store: s, IDs: ids, Now: func() time.Time { return noon }})
}

func TestADeviceLivesItsLife(t *testing.T) {
	r := registry(t, IDs{Form: FormMAC})
	ctx := t.Context()
	d, err := r.Add(ctx, ann, countersign.Device{ID: "00-1a-2b-3c-4d-5e", Labels: map[string]string{"site": "a"}})
	if err != nil || d.ID != "00:1A:2B:3C:4D:5E" || d.State != countersign.DeviceProvisioned {
		t.Fatalf("%+v, %v", d, err)
	}
	verbs := []string{"ready", "activate", "suspend", "resume", "revoke", "ready", "retire"}
	for i, verb := range verbs {
		// Every spelling is the same device.
		id := []string{"001a.2b3c.4d5e", "0:1a:2b:3c:4d:5e"}[i%2]
		if _, err := r.Do(ctx, ann, verb, id); err != nil {
			t.Fatal(err)
		}
	}
	f, err := r.Show(ctx, d.ID)
	if err != nil || f.TrailFault != nil {
		t.Fatal(err, f.TrailFault)
	}
	var did []string
	for _, e := range f.Trail {
		did = append(did, fmt.Sprintf("%s: %s to %s by %s for %s", e.What, e.From, e.To, e.Who, e.Why))
	}
	const by = " by operator CN=ann for ticket 7"
	want := []string{
		"add:  to provisioned" + by, "ready: provisioned to ready" + by, "activate: ready to active" + by, "suspend: active to suspended" + by,
		"resume: suspended to active" + by, "revoke: active to revoked" + by, "ready: revoked to ready" + by, "retire: ready to retired" + by,
	}
	if diff := cmp.Diff(want, did); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotPossibleIsRefusedWithItsReason(t *testing.T) {
	r := registry(t, IDs{Form: FormMAC})
	ctx := t.Context()
	const id = "00:1A:2B:3C:4D:5E"
	if _, err := r.Add(ctx, ann, countersign.Device{ID: id}); err != nil {
		t.Fatal(err)
	}
	add := func(d countersign.Device) error { _, err := r.Add(ctx, ann, d); return err }
	do := func(by Author, verb, id string) error { _, err := r.Do(ctx, by, verb, id); return err }
	for name, c := range map[string]struct {
		err  error
		kind error
		want string
	}{
		"state":     {do(ann, "resume", id), ErrRefused, "provisioned cannot be resumed"},
		"verb":      {do(ann, "delete", id), ErrRefused, "for one that is provisioned there is ready, revoke, retire"},
		"reason":    {do(Author{Who: "ann"}, "revoke", id), ErrRefused, "takes a reason"},
		"author":    {do(Author{}, "ready", id), ErrRefused, "nobody is named"},
		"unknown":   {do(ann, "ready", "00:1A:2B:3C:4D:5F"), store.ErrUnknown, "00:1A:2B:3C:4D:5F: not in the registry"},
		"near miss": {do(ann, "ready", "00:1A:2B:3C:4D:5"), nil, ""},
		"id":        {add(countersign.Device{ID: "00:1A:2B:3C:4D:5G"}), ErrRefused, "is no MAC address"},
		"twice":     {add(countersign.Device{ID: "001a2b3c4d5e"}), store.ErrExists, "already in the registry"},
		"label":     {add(countersign.Device{ID: "001a2b3c4d50", Labels: map[string]string{"a b": "c"}}), ErrRefused, `label "a b"`},
		"notes":     {add(countersign.Device{ID: "001a2b3c4d50", Notes: "a\x00"}), ErrRefused, "control character"},
		"new state": {add(countersign.Device{ID: "001a2b3c4d50", State: "Ready"}), ErrRefused, "device state"},
	} {
		if c.kind == nil { // 4D:5 between colons is 4D:05, another device
			c.kind, c.want = store.ErrUnknown, "00:1A:2B:3C:4D:05"
		}
		if !errors.Is(c.err, c.kind) || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %v with %q", name, c.err, c.kind, c.want)
		}
	}
	f, err := r.Show(ctx, id)
	if err != nil || len(f.Trail) != 1 {
		t.Errorf("what was refused is in the trail: %+v, %v", f.Trail, err)
	}
}

// imported runs an import and returns what became of its lines.
func imported(t *testing.T, r *Registry, f Format, text string, goOn bool) (map[int]string, Summary, error) {
	t.Helper()
	lines := map[int]string{}
	sum, err := r.Import(t.Context(), ann, strings.NewReader(text), Import{Format: f, Continue: goOn, Dir: t.TempDir(), Report: func(l Line) {
		what := string(l.Outcome) + " " + l.ID
		if l.Err != nil {
			what = string(l.Outcome) + ": " + l.Err.Error()
		}
		if was, twice := lines[l.Number]; twice {
			t.Errorf("line %d is reported twice: %s, %s", l.Number, was, what)
		}
		lines[l.Number] = what
	}})
	return lines, sum, err
}

const good = "\ufeffid;state;notes;label.site;labels\r\n" +
	"00-1a-2b-3c-4d-01;ready;;Köln;model=x\r\n" +
	"001a.2b3c.4d02;;\"a;\"\"b\"\"\nsecond line\";;\r\n" +
	"\r\n" +
	"001A2B3C4D03;Active;;Bonn;"

func TestAnImportCanBeRepeated(t *testing.T) {
	r := registry(t, IDs{Form: FormMAC})
	for i, outcome := range []string{"created", "unchanged"} {
		lines, sum, err := imported(t, r, CSV, good, false)
		if err != nil {
			t.Fatal(err)
		}
		want := map[int]string{2: outcome + " 00:1A:2B:3C:4D:01", 3: outcome + " 00:1A:2B:3C:4D:02", 6: outcome + " 00:1A:2B:3C:4D:03"}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
		if want := (Summary{Read: 3, Created: 3 * (1 - i), Unchanged: 3 * i}); sum != want {
			t.Errorf("%+v, want %+v", sum, want)
		}
		// A state that has changed meanwhile is not the list's to change back.
		if i == 0 {
			if _, err := r.Do(t.Context(), ann, "activate", "001a2b3c4d01"); err != nil {
				t.Fatal(err)
			}
		}
	}
	f, err := r.Show(t.Context(), "001a2b3c4d02")
	if err != nil || f.Device.Notes != "a;\"b\"\nsecond line" {
		t.Errorf("the notes are %q, %v", f.Device.Notes, err)
	}
	f, err = r.Show(t.Context(), "001a2b3c4d01")
	if diff := cmp.Diff(map[string]string{"site": "Köln", "model": "x"}, f.Device.Labels); diff != "" || f.Device.State != countersign.DeviceActive {
		t.Errorf("%s is %s, %v\n%s", f.Device.ID, f.Device.State, err, diff)
	}
}

const bad = `id,notes,labels
00:1A:2B:3C:4D:01,fine,site=a
00:1A:2B:3C:4D,five groups,
00:1A:2B:3C:4D:02,an open "quote,
00:1A:2B:3C:4D:03,fine,
00:1A:2B:3C:4D:04,too,many,fields
00-1a-2b-3c-4d-01,a twin,
00:1A:2B:3C:4D:05,no pair,site
00:1A:2B:3C:4D:06,` + "\xff" + `,
00:1A:2B:3C:4D:07,fine,`

func TestABrokenListIsReportedLineByLine(t *testing.T) {
	r := registry(t, IDs{Form: FormMAC})
	refused := map[int]string{
		3: `refused: "00:1A:2B:3C:4D" is no MAC address: it has 5 groups; write 12 hexadecimal digits, as in 00:1A:2B:3C:4D:5E`,
		4: "refused: a quote is opened and not closed",
		6: "refused: it has 4 fields, the first line has 3",
		7: "refused: device 00:1A:2B:3C:4D:01 is in line 2 already",
		8: `refused: label "site": write key=value`,
		9: "refused: it is not UTF-8: save the file as UTF-8",
	}
	lines, sum, err := imported(t, r, CSV, bad, false)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "6 of 9 lines are bad, and nothing was imported") {
		t.Errorf("the error is %v", err)
	}
	if diff := cmp.Diff(refused, lines); diff != "" || sum.Created > 0 {
		t.Errorf("%+v\n%s", sum, diff)
	}
	if p, err := r.List(t.Context(), store.Query{}); err != nil || len(p.Devices) > 0 {
		t.Errorf("imported: %v, %v", p.Devices, err)
	}
	lines, sum, err = imported(t, r, CSV, bad, true)
	if err != nil {
		t.Fatal(err)
	}
	for n, id := range map[int]string{2: "01", 5: "03", 10: "07"} {
		refused[n] = "created 00:1A:2B:3C:4D:" + id
	}
	if diff := cmp.Diff(refused, lines); diff != "" {
		t.Error(diff)
	}
	if want := (Summary{Read: 9, Refused: 6, Created: 3}); sum != want {
		t.Errorf("%+v, want %+v", sum, want)
	}
}

func TestAListThatIsNoneIsRefused(t *testing.T) {
	r := registry(t, IDs{})
	for text, want := range map[string]string{
		"":                                       "the file is empty",
		"a,b\n1,2":                               `column "a" is not known`,
		"notes,labels\nx,y":                      "there is no column id",
		"id,id\nx,y":                             `column "id" is there twice`,
		"id,label.a b\nx,y":                      "is no key of a label",
		"\xff\xfei\x00d\x00":                     "UTF-16",
		"\"id\nx":                                "line 1",
		strings.Repeat("x", maxLine+10) + "\nid": "more than 65536 bytes",
	} {
		if _, _, err := imported(t, r, CSV, text, true); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %q", text, err, want)
		}
	}
	const objects = "{\"id\": \"a\"}\n\n{\"id\": \"b\", \"state\": \"gone\"}\n{\"ID\":\n[1]\n{\"id\": \"c\"} {\"id\": \"d\"}\n{\"id\": \"e\", \"color\": \"red\"}\n{\"id\": 7}\n{}"
	lines, sum, err := imported(t, r, JSONLines, objects, true)
	if err != nil || sum.Created != 1 || sum.Refused != 7 || len(lines) != 8 {
		t.Errorf("%+v, %v, %v", sum, lines, err)
	}
}

func TestAnExportCanBeImportedElsewhere(t *testing.T) {
	for _, f := range []Format{CSV, JSONLines} {
		r := registry(t, IDs{Form: FormMAC})
		if _, _, err := imported(t, r, CSV, good, false); err != nil {
			t.Fatal(err)
		}
		seen := []store.Sighting{{Device: "00:1A:2B:3C:4D:03", At: noon, Address: "192.0.2.7"}}
		if err := r.store.Sightings.Record(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if n, err := Export(all(t, r, store.Query{}), f, &out); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		other := registry(t, IDs{Form: FormMAC})
		if _, sum, err := imported(t, other, f, out.String(), false); err != nil || sum.Created != 3 {
			t.Fatalf("%+v, %v of\n%s", sum, err, out.String())
		}
		var again strings.Builder
		if _, err := Export(all(t, other, store.Query{States: []countersign.State{countersign.DeviceReady, countersign.DeviceProvisioned}}), f, &again); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(again.String()) {
			if !strings.Contains(out.String(), strings.TrimSpace(line)) {
				t.Errorf("exported again, this is new: %s", line)
			}
		}
	}
}

func all(t *testing.T, r *Registry, q store.Query) iter.Seq2[countersign.Device, error] {
	return func(yield func(countersign.Device, error) bool) {
		p, err := r.List(t.Context(), q)
		if err != nil {
			yield(countersign.Device{}, err)
			return
		}
		for _, d := range p.Devices {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Lists come from the network: whatever is in them, they end, and every line with
// a device has one report.
func FuzzImport(f *testing.F) {
	f.Add(good, true)
	f.Add(bad, true)
	f.Add("{\"id\": \"a\"}\n{", false)
	f.Add("id\n\"a\n\"\"\"\nb", true)
	r := New(Config{IDs: IDs{Form: FormText}})
	f.Fuzz(func(t *testing.T, text string, asCSV bool) {
		format := JSONLines
		if asCSV {
			format = CSV
		}
		reported := map[int]bool{}
		i := &importing{spool: spool.New(t.TempDir()), how: Import{Format: format, Report: func(l Line) {
			if reported[l.Number] || l.Err == nil {
				t.Errorf("line %d: %v, reported before: %v", l.Number, l.Err, reported[l.Number])
			}
			reported[l.Number] = true
		}}}
		if r.read(t.Context(), strings.NewReader(text), i) != nil {
			return
		}
		for row, err := range i.spool.All() {
			if err != nil {
				t.Fatal(err)
			}
			if reported[row.Line] || row.Line < 1 || row.Line > 1+strings.Count(text, "\n") {
				t.Errorf("line %d of %q is both good and bad, or is not there", row.Line, text)
			}
			reported[row.Line] = true
		}
		if len(reported) != i.sum.Read {
			t.Errorf("%d lines read, %d reported", i.sum.Read, len(reported))
		}
	})
}

// The memory of an import does not grow with it.
func TestAnImportNeedsLittleMemoryWhateverItsSize(t *testing.T) {
	r := New(Config{IDs: IDs{Form: FormText}})
	pr := &repeated{line: "id-%09d,some notes that are not short\n", n: 400_000}
	i := &importing{spool: spool.New(t.TempDir()), how: Import{Format: CSV}}
	defer i.spool.Close()
	if err := r.read(t.Context(), pr, i); err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if i.sum.Read != 400_000 || m.HeapAlloc > 16<<20 {
		t.Errorf("after %d lines %d MiB are in use", i.sum.Read, m.HeapAlloc>>20)
	}
}

type repeated struct {
	line string
	i, n int
	rest []byte
}

func (r *repeated) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.i == 0 {
			r.rest = []byte("id,notes\n")
		} else {
			r.rest = fmt.Appendf(nil, r.line, r.i)
		}
		if r.i++; r.i > r.n+1 {
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
