package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Run holds a backend to the suite. open returns a store of its own for each
// test, empty and closed with the test; reopen opens the same one once more,
// beside it.
func Run(t *testing.T, open func(t *testing.T) (s *store.Store, reopen func(t *testing.T) *store.Store)) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *store.Store, reopen func(t *testing.T) *store.Store)
	}{
		{"a device is found as it was added", found},
		{"what is not there is unknown", unknown},
		{"a device is added once", once},
		{"an altered device is kept with its trail", altered},
		{"nothing is kept of an alteration that is refused", refused},
		{"alterations at the same time are made one after the other", together},
		{"a device has many credentials", credentials},
		{"revocation ends the credentials", ended},
		{"the trail is a chain", chained},
		{"pages hold every device once", pages},
		{"pages hold what was asked for", filters},
		{"a page of another listing is refused", otherPage},
		{"an import adds, alters and leaves alone", imports},
		{"an atomic import that fails leaves nothing", atomic},
		{"batches that came before a failure stay without atomic", batches},
		{"a canceled import leaves nothing", canceled},
		{"sightings only go forward", sightings},
		{"every change is in the log once it is visible", logged},
		{"a cursor that is pruned is lost", pruned},
		{"an import is told once it is visible, and then whole", overtaking},
		{"a store is found again as it was left", again},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, reopen := open(t)
			c.run(t, s, reopen)
		})
	}
}

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
	by   = countersign.TrailEntry{Who: "operator ann", What: "add", Why: "first delivery", At: noon}
)

func entry(what string) countersign.TrailEntry {
	return countersign.TrailEntry{Who: "operator bob", What: what, Why: "ticket 7", At: noon.Add(time.Hour)}
}

func device(id string, state countersign.State, labels ...string) countersign.Device {
	d := countersign.Device{ID: id, State: state, Labels: map[string]string{}, Created: noon}
	for i := 0; i < len(labels); i += 2 {
		d.Labels[labels[i]] = labels[i+1]
	}
	return d
}

func create(t *testing.T, s *store.Store, all ...countersign.Device) {
	t.Helper()
	for _, d := range all {
		if err := s.Devices.Create(t.Context(), d, by); err != nil {
			t.Fatal(err)
		}
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func want(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("the error is %v, want %v", err, kind)
	}
}

func get(t *testing.T, s *store.Store, id string) countersign.Device {
	t.Helper()
	d, err := s.Devices.Device(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

type reopen = func(t *testing.T) *store.Store

func found(t *testing.T, s *store.Store, _ reopen) {
	d := device("AA:BB:CC:00:00:01", countersign.DeviceProvisioned, "site", "Köln 3", "model", `x"1`)
	d.Notes = "behind the door\nof hall 3 'left'"
	create(t, s, d)
	d.Revision = 1
	equal(t, "the device", get(t, s, d.ID), d)
}

func unknown(t *testing.T, s *store.Store, _ reopen) {
	ctx := t.Context()
	_, err := s.Devices.Device(ctx, "nobody")
	want(t, err, store.ErrUnknown)
	_, err = s.Devices.Update(ctx, "nobody", func(*store.Draft) error { t.Error("edit is called for a device that is unknown"); return nil })
	want(t, err, store.ErrUnknown)
	_, err = s.Credentials.Credential(ctx, [32]byte{1})
	want(t, err, store.ErrUnknown)
	err = s.Credentials.Add(ctx, countersign.Credential{Device: "nobody", Fingerprint: [32]byte{1}, State: countersign.CredentialValid}, entry("credential"))
	want(t, err, store.ErrUnknown)
	_, err = s.Credentials.Credential(ctx, [32]byte{1})
	want(t, err, store.ErrUnknown)
	p, err := s.Devices.List(ctx, store.Query{})
	if err != nil || len(p.Devices) != 0 || p.Next != "" {
		t.Errorf("the list of an empty store is %v, %v", p, err)
	}
}

func once(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	err := s.Devices.Create(t.Context(), device("one", countersign.DeviceActive), by)
	want(t, err, store.ErrExists)
	if d := get(t, s, "one"); d.State != countersign.DeviceReady || d.Revision != 1 {
		t.Errorf("the second one altered the first: %+v", d)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			errs[i] = s.Devices.Create(t.Context(), device("two", countersign.DeviceReady), by)
		})
	}
	wg.Wait()
	added := 0
	for _, err := range errs {
		if err == nil {
			added++
		} else {
			want(t, err, store.ErrExists)
		}
	}
	if added != 1 {
		t.Errorf("of 8 that added one device at once, %d did", added)
	}
}

func altered(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady, "site", "a", "model", "x"))
	got, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
		d.Device.State = countersign.DeviceActive
		d.Device.Labels = map[string]string{"site": "b"}
		d.Device.Notes = "new"
		d.Device.Created = d.Device.Created.Add(time.Hour) // is not altered
		d.Entry = entry("activate")
		d.Entry.Detail = "moved"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d := device("one", countersign.DeviceActive, "site", "b")
	d.Notes, d.Revision = "new", 2
	equal(t, "what Update returns", got, d)
	equal(t, "what is kept", get(t, s, "one"), d)
	for label, n := range map[string]int{"a": 0, "b": 1} {
		p, err := s.Devices.List(t.Context(), store.Query{Labels: map[string]string{"site": label}})
		if err != nil || len(p.Devices) != n {
			t.Errorf("by label site=%s there are %d, %v, want %d", label, len(p.Devices), err, n)
		}
	}
	trail, err := s.Trail.Of(t.Context(), "one", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	first, second := by, entry("activate")
	first.Device, first.Number, first.To = "one", 1, countersign.DeviceReady
	second.Device, second.Number, second.From, second.To, second.Detail = "one", 2, countersign.DeviceReady, countersign.DeviceActive, "moved"
	first.Hash = store.Seal([32]byte{}, first)
	second.Hash = store.Seal(first.Hash, second)
	equal(t, "the trail", trail, []countersign.TrailEntry{first, second})
}

func refused(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady, "site", "a"))
	before, err := s.Changes.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	_, err = s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
		d.Device.State, d.EndCredentials = countersign.DeviceRetired, true
		d.Device.Labels["site"] = "b"
		return no
	})
	want(t, err, no)
	d := device("one", countersign.DeviceReady, "site", "a")
	d.Revision = 1
	equal(t, "the device", get(t, s, "one"), d)
	if _, got := since(t, s, before); len(got) != 0 {
		t.Errorf("the change log has %v of it", got)
	}
}

func together(t *testing.T, s *store.Store, again reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	other := again(t)
	var wg sync.WaitGroup
	for i := range 20 {
		on := s
		if i%2 == 1 {
			on = other
		}
		wg.Go(func() {
			_, err := on.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
				d.Device.Notes += "x"
				d.Entry = entry("edit")
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d := get(t, s, "one"); len(d.Notes) != 20 || d.Revision != 21 {
		t.Errorf("after 20 alterations by two nodes %d are there, revision %d", len(d.Notes), d.Revision)
	}
	check(t, s, "one", 21)
}

// check walks the trail in pieces.
func check(t *testing.T, s *store.Store, id string, length int64) {
	t.Helper()
	var chain store.Chain
	for {
		part, err := s.Trail.Of(t.Context(), id, chain.Length(), 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range part {
			if err := chain.Check(e); err != nil {
				t.Fatal(err)
			}
		}
		if len(part) < 4 {
			break
		}
	}
	if chain.Length() != length {
		t.Errorf("the trail of %s has %d entries, want %d", id, chain.Length(), length)
	}
}

func credential(device string, n byte) countersign.Credential {
	return countersign.Credential{Device: device, Serial: fmt.Sprintf("%02X", n), Fingerprint: [32]byte{n}, Issuer: "CN=Fleet CA",
		NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0), State: countersign.CredentialValid, Added: noon.Add(time.Duration(n) * time.Minute)}
}

func credentials(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceActive), device("two", countersign.DeviceActive))
	for _, n := range []byte{1, 3, 2} {
		if err := s.Credentials.Add(t.Context(), credential("one", n), entry("credential")); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Credentials.Add(t.Context(), credential("two", 3), entry("credential"))
	want(t, err, store.ErrExists)
	got, err := s.Credentials.Of(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the credentials", got, []countersign.Credential{credential("one", 3), credential("one", 2), credential("one", 1)})
	c, err := s.Credentials.Credential(t.Context(), [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the one that was asked for", c, credential("one", 2))
	check(t, s, "one", 4)
	check(t, s, "two", 1)
}

func ended(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceActive), device("two", countersign.DeviceActive))
	for i, id := range []string{"one", "one", "two"} {
		if err := s.Credentials.Add(t.Context(), credential(id, byte(i)), entry("credential")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
		d.Device.State, d.EndCredentials, d.Entry = countersign.DeviceRevoked, true, entry("revoke")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, state := range map[string]countersign.CredentialState{"one": countersign.CredentialRevoked, "two": countersign.CredentialValid} {
		all, err := s.Credentials.Of(t.Context(), id)
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		for _, c := range all {
			if c.State != state {
				t.Errorf("credential %s of %s is %s, want %s", c.Serial, id, c.State, state)
			}
		}
	}
}

func chained(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	for range 8 {
		_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
			d.Entry = entry("edit")
			d.Device.Notes += "."
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check(t, s, "one", 9)
	all, err := s.Trail.Of(t.Context(), "one", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func([]countersign.TrailEntry) []countersign.TrailEntry{
		"an altered reason": func(e []countersign.TrailEntry) []countersign.TrailEntry { e[3].Why = "no reason"; return e },
		"an entry less":     func(e []countersign.TrailEntry) []countersign.TrailEntry { return slices.Delete(e, 3, 4) },
		"entries exchanged": func(e []countersign.TrailEntry) []countersign.TrailEntry { e[3], e[4] = e[4], e[3]; return e },
		"another author":    func(e []countersign.TrailEntry) []countersign.TrailEntry { e[0].Who = "operator eve"; return e },
		"a rewritten entry": func(e []countersign.TrailEntry) []countersign.TrailEntry {
			e[3].Why = "no reason"
			e[3].Hash = store.Seal(e[2].Hash, e[3])
			return e
		},
	} {
		var chain store.Chain
		var bad error
		for _, e := range spoil(slices.Clone(all)) {
			if bad = chain.Check(e); bad != nil {
				break
			}
		}
		if bad == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
}

// fill makes 60 devices: states in turn, three sites, one rare model, and a third
// of them never seen.
func fill(t *testing.T, s *store.Store) map[string]countersign.Device {
	t.Helper()
	all := map[string]countersign.Device{}
	var seen []store.Sighting
	states := countersign.States()
	for i := range 60 {
		d := device(fmt.Sprintf("d%02d", i), states[i%len(states)], "site", string(rune('a'+i%3)))
		if i%20 == 7 {
			d.Labels["model"] = "rare"
		}
		create(t, s, d)
		if i%3 > 0 {
			v := store.Sighting{Device: d.ID, At: noon.Add(time.Duration(60-i/2) * time.Minute), Address: "192.0.2.1"}
			seen = append(seen, v)
		}
	}
	if err := s.Sightings.Record(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		d := get(t, s, fmt.Sprintf("d%02d", i))
		all[d.ID] = d
	}
	return all
}

// walk reads all pages of q.
func walk(t *testing.T, s *store.Store, q store.Query) []countersign.Device {
	t.Helper()
	var all []countersign.Device
	for range 200 {
		p, err := s.Devices.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Devices) > q.Limit {
			t.Fatalf("a page has %d devices, at most %d were asked for", len(p.Devices), q.Limit)
		}
		all = append(all, p.Devices...)
		if p.Next == "" {
			return all
		}
		q.After = p.Next
	}
	t.Fatal("the pages do not end")
	return nil
}

func pages(t *testing.T, s *store.Store, _ reopen) {
	all := fill(t, s)
	for _, limit := range []int{1, 7, 20, 60, 100} {
		got := walk(t, s, store.Query{Limit: limit})
		want := slices.SortedFunc(maps.Values(all), func(a, b countersign.Device) int { return cmpID(a.ID, b.ID) })
		equal(t, fmt.Sprintf("all devices, %d a page", limit), got, want)
	}
	p, err := s.Devices.List(t.Context(), store.Query{Limit: 60})
	if err != nil || p.Next != "" {
		t.Errorf("the page that has everything goes on at %q, %v", p.Next, err)
	}
}

func cmpID(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func filters(t *testing.T, s *store.Store, _ reopen) {
	all := fill(t, s)
	labels := []map[string]string{nil, {"site": "b"}, {"model": "rare"}, {"site": "b", "model": "rare"}, {"site": "z"}, {"site": ""}}
	states := [][]countersign.State{nil, {countersign.DeviceActive}, {countersign.DeviceRevoked, countersign.DeviceReady, countersign.DeviceReady}}
	seen := [][2]time.Time{{}, {noon.Add(45 * time.Minute)}, {{}, noon.Add(45 * time.Minute)}, {noon.Add(35 * time.Minute), noon.Add(50 * time.Minute)}}
	for _, l := range labels {
		for _, st := range states {
			for _, sn := range seen {
				q := store.Query{Labels: l, States: st, SeenSince: sn[0], SeenBefore: sn[1], Limit: 4}
				var want []countersign.Device
				for _, d := range all {
					if q.Takes(&d) {
						want = append(want, d)
					}
				}
				slices.SortFunc(want, func(a, b countersign.Device) int {
					if q.BySeen() && !a.LastSeen.Equal(b.LastSeen) {
						return a.LastSeen.Compare(b.LastSeen)
					}
					return cmpID(a.ID, b.ID)
				})
				equal(t, fmt.Sprintf("devices with %v in %v seen %v", l, st, sn), walk(t, s, q), want)
			}
		}
	}
}

func otherPage(t *testing.T, s *store.Store, _ reopen) {
	fill(t, s)
	p, err := s.Devices.List(t.Context(), store.Query{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []store.Query{{After: p.Next, SeenSince: noon}, {After: "?"}, {After: "d03"}} {
		_, err := s.Devices.List(t.Context(), q)
		want(t, err, store.ErrQuery)
	}
}

func rows(all ...[]store.Row) iter.Seq2[[]store.Row, error] {
	return func(yield func([]store.Row, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func text(s string) *string { return &s }

type report map[string]store.Outcome

func (r report) done(rows []store.Row, outcomes []store.Outcome) {
	for i, row := range rows {
		r[row.ID] = outcomes[i]
	}
}

func imports(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("b", countersign.DeviceActive, "site", "a"), device("d", countersign.DeviceReady, "site", "a"))
	list := rows(
		[]store.Row{
			{ID: "a", Labels: map[string]string{"site": "x"}, Notes: text("n"), State: countersign.DeviceReady},
			{ID: "b", Labels: map[string]string{"site": "b"}, State: countersign.DeviceReady},
		},
		[]store.Row{{ID: "c"}, {ID: "d", Labels: map[string]string{"site": "a"}}, {ID: "e", Labels: map[string]string{}}},
	)
	for _, atomic := range []bool{true, false} {
		got := report{}
		err := s.Devices.Import(t.Context(), store.Import{Rows: list, Atomic: atomic, Entry: entry("import"), Done: got.done})
		if err != nil {
			t.Fatal(err)
		}
		want := report{"a": store.Created, "b": store.Updated, "c": store.Created, "d": store.Unchanged, "e": store.Created}
		if !atomic { // once more
			want = report{"a": store.Unchanged, "b": store.Unchanged, "c": store.Unchanged, "d": store.Unchanged, "e": store.Unchanged}
		}
		equal(t, "the report", got, want)
	}
	a := device("a", countersign.DeviceReady, "site", "x")
	a.Notes, a.Created, a.Revision = "n", entry("").At, 1
	equal(t, "the new device", get(t, s, "a"), a)
	b := device("b", countersign.DeviceActive, "site", "b")
	b.Revision = 2
	equal(t, "the altered device", get(t, s, "b"), b)
	if c := get(t, s, "c"); c.State != countersign.DeviceProvisioned {
		t.Errorf("a new device is %s, want provisioned", c.State)
	}
	for id, n := range map[string]int64{"a": 1, "b": 2, "c": 1, "d": 1, "e": 1} {
		check(t, s, id, n)
	}
	trail, err := s.Trail.Of(t.Context(), "b", 1, 1)
	if err != nil || len(trail) != 1 || trail[0].What != "import" || trail[0].Who != "operator bob" || trail[0].Detail != "label site=b, was a" {
		t.Errorf("the trail of an altered device is %+v, %v", trail, err)
	}
	if got := walk(t, s, store.Query{Labels: map[string]string{"site": "x"}, Limit: 5}); len(got) != 1 {
		t.Errorf("by its label an imported device is found %d times", len(got))
	}
}

var broken = errors.New("line 7 is broken")

func breaking(yield func([]store.Row, error) bool) {
	_ = yield([]store.Row{{ID: "a"}, {ID: "one", Notes: text("changed")}}, nil) && yield(nil, broken)
}

func atomic(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	start, _ := s.Changes.Now(t.Context())
	err := s.Devices.Import(t.Context(), store.Import{Rows: breaking, Atomic: true, Entry: entry("import"), Done: report{}.done})
	want(t, err, broken)
	_, err = s.Devices.Device(t.Context(), "a")
	want(t, err, store.ErrUnknown)
	if d := get(t, s, "one"); d.Notes != "" || d.Revision != 1 {
		t.Errorf("a device is altered by an import that failed: %+v", d)
	}
	if _, got := since(t, s, start); len(got) > 0 {
		t.Errorf("the change log has %v of an import that failed", got)
	}
}

func batches(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	got := report{}
	err := s.Devices.Import(t.Context(), store.Import{Rows: breaking, Entry: entry("import"), Done: got.done})
	want(t, err, broken)
	equal(t, "the report", got, report{"a": store.Created, "one": store.Updated})
	if get(t, s, "one").Notes != "changed" || get(t, s, "a").Revision != 1 {
		t.Error("what was reported is not kept")
	}
}

func canceled(t *testing.T, s *store.Store, _ reopen) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Devices.Import(ctx, store.Import{Atomic: true, Entry: entry("import"), Done: report{}.done,
		Rows: func(yield func([]store.Row, error) bool) {
			if yield([]store.Row{{ID: "a"}}, nil) {
				cancel()
				yield([]store.Row{{ID: "b"}}, nil)
			}
		}})
	if err == nil {
		t.Fatal("an import goes on after it was canceled")
	}
	for _, id := range []string{"a", "b"} {
		_, err := s.Devices.Device(t.Context(), id)
		want(t, err, store.ErrUnknown)
	}
}

func sightings(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceActive))
	start, _ := s.Changes.Now(t.Context())
	v := func(minutes int, address string) store.Sighting {
		return store.Sighting{Device: "one", At: noon.Add(time.Duration(minutes) * time.Minute), Address: address}
	}
	for _, seen := range [][]store.Sighting{
		{v(5, "192.0.2.1"), {Device: "nobody", At: noon, Address: "192.0.2.9"}},
		{v(9, "2001:db8::1"), v(7, "192.0.2.3")},
		{v(8, "192.0.2.4")},
		{},
	} {
		if err := s.Sightings.Record(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
	}
	d := device("one", countersign.DeviceActive)
	d.FirstSeen, d.LastSeen, d.LastAddress, d.Revision = v(5, "").At, v(9, "").At, netip.MustParseAddr("2001:db8::1"), 1
	equal(t, "the device", get(t, s, "one"), d)
	if _, got := since(t, s, start); len(got) > 0 {
		t.Errorf("sightings are in the change log: %v", got)
	}
	_, err := s.Devices.Device(t.Context(), "nobody")
	want(t, err, store.ErrUnknown)
}

func again(t *testing.T, s *store.Store, again reopen) {
	fill(t, s)
	if err := s.Credentials.Add(t.Context(), credential("d00", 1), entry("credential")); err != nil {
		t.Fatal(err)
	}
	all := walk(t, s, store.Query{Limit: 50})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := again(t)
	equal(t, "the devices", walk(t, other, store.Query{Limit: 50}), all)
	check(t, other, "d00", 2)
}
