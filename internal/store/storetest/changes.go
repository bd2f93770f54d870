package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
)

// since returns the keys of what changed, and the place behind it.
func since(t *testing.T, s *store.Store, from store.Cursor) (store.Cursor, []string) {
	t.Helper()
	var keys []string
	next, err := s.Changes.Since(t.Context(), from, func(c store.Change) {
		if c.Noun != store.NounDevice {
			t.Errorf("a change of %q", c.Noun)
		}
		keys = append(keys, c.Key)
	})
	if err != nil {
		t.Fatal(err)
	}
	return next, keys
}

func now(t *testing.T, s *store.Store) store.Cursor {
	t.Helper()
	c, err := s.Changes.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Writers on two nodes, and a reader that asks all the time: whatever it saw
// changed must have been told by the end, however the commits overtook each other.
func logged(t *testing.T, s *store.Store, again reopen) {
	other := again(t)
	at := now(t, s)
	var wg sync.WaitGroup
	const writers, each = 4, 25
	for w := range writers {
		on := s
		if w%2 == 1 {
			on = other
		}
		wg.Go(func() {
			for i := range each {
				if err := on.Devices.Create(t.Context(), device(fmt.Sprintf("w%d-%02d", w, i), countersign.DeviceReady), by); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	told := map[string]int{}
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		var keys []string
		at, keys = since(t, other, at)
		for _, k := range keys {
			told[k]++
		}
	}
	if len(told) != writers*each {
		t.Errorf("of %d changes %d were told", writers*each, len(told))
	}
	if _, keys := since(t, s, at); len(keys) != 0 {
		t.Errorf("told again: %v", keys)
	}
}

func pruned(t *testing.T, s *store.Store, _ reopen) {
	old := now(t, s)
	create(t, s, device("one", countersign.DeviceReady)) // at noon
	between := now(t, s)
	_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error { d.Entry = entry("edit"); return nil }) // an hour later
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Changes.Prune(t.Context(), noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Changes.Since(t.Context(), old, func(store.Change) {})
	want(t, err, store.ErrCursorLost)
	if _, keys := since(t, s, between); !slices.Equal(keys, []string{"one"}) {
		t.Errorf("behind what was pruned there is %v", keys)
	}
	if err := s.Changes.Prune(t.Context(), noon.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	end := now(t, s)
	if _, keys := since(t, s, end); len(keys) != 0 {
		t.Errorf("an empty log tells %v", keys)
	}
	_, err = s.Changes.Since(t.Context(), "from another store", func(store.Change) {})
	want(t, err, store.ErrCursorLost)
	create(t, s, device("two", countersign.DeviceReady))
	if _, keys := since(t, s, end); !slices.Equal(keys, []string{"two"}) {
		t.Errorf("after pruning everything, a change is told as %v", keys)
	}
}

// What commits late must not be skipped by a reader that was there in between.
func overtaking(t *testing.T, s *store.Store, again reopen) {
	other := again(t)
	at := now(t, other)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := s.Devices.Import(ctx, store.Import{Atomic: true, Entry: entry("import"), Done: func([]store.Row, []store.Outcome) {},
		Rows: func(yield func([]store.Row, error) bool) {
			if !yield([]store.Row{{ID: "late"}}, nil) {
				return
			}
			// The reader asks while the import is under way.
			var keys []string
			if at, keys = since(t, other, at); len(keys) != 0 {
				t.Errorf("told of what is not visible yet: %v", keys)
			}
			yield([]store.Row{{ID: "later"}}, nil)
		}})
	if err != nil {
		t.Fatal(err)
	}
	_, keys := since(t, other, at)
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"late", "later"}) {
		t.Errorf("after the import the log tells %v", keys)
	}
}
