package storetest

import (
	"context"
	"errors"
	"iter"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/store"
)

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
