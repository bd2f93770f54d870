package live

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"
)

func (still) Describe() Description { return Description{} }

func (d *device) Describe() Description { return Description{} }

// A numbered connection is known by its number.
type numbered struct {
	still
	n uint64
}

func (c numbered) Describe() Description {
	d := Description{Resumed: c.n == 2}
	binary.BigEndian.PutUint64(d.ID[8:], c.n*0x9e3779b97f4a7c15|1) // in no order, never 0
	return d
}

// settled enters n connections, at two listeners in turns.
func settled(r *Registry, n int) []*Entry {
	entries := make([]*Entry, n)
	for i := range entries {
		entries[i] = &Entry{}
		r.Put(entries[i], numbered{n: uint64(i + 1)}, somewhere(i))
	}
	return entries
}

func somewhere(i int) Standing {
	return Standing{place: place{listener: []string{"a", "b"}[i%2], store: "s"}}
}

// pages reads a listing to its end.
func pages(t *testing.T, r *Registry, q Query, limit int) []Description {
	t.Helper()
	var all []Description
	var after [16]byte
	for {
		some, more := r.List(q, after, limit)
		if len(some) > limit || more && len(some) < limit {
			t.Fatalf("a page of %d, with more: %t, for a limit of %d", len(some), more, limit)
		}
		all = append(all, some...)
		if !more {
			return all
		}
		after = some[len(some)-1].ID
	}
}

func TestEveryConnectionIsListedOnceInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 7, 2*handful + 3} {
		r := NewRegistry()
		settled(r, n)
		for _, limit := range []int{1000, 7} {
			if n > 1000 && limit == 7 {
				continue
			}
			all := pages(t, r, Query{}, limit)
			if len(all) != n {
				t.Fatalf("%d of %d are listed, by %d", len(all), n, limit)
			}
			if !slices.IsSortedFunc(all, func(a, b Description) int { return bytes.Compare(a.ID[:], b.ID[:]) }) {
				t.Error("not in the order of their identifiers")
			}
		}
	}
}

func TestAListingIsOfThoseAskedFor(t *testing.T) {
	r := NewRegistry()
	settled(r, 20)
	for _, tt := range []struct {
		q    Query
		want int
	}{
		{Query{Listener: "a"}, 10},
		{Query{Listener: "c"}, 0},
		{Query{TrustStore: "s"}, 20},
		{Query{TrustStore: "t"}, 0},
		{Query{Listener: "b", Match: func(d *Description) bool { return d.Resumed }}, 1},
		{Query{Listener: "a", Match: func(d *Description) bool { return d.Resumed }}, 0},
	} {
		all := pages(t, r, tt.q, 100)
		if len(all) != tt.want || len(r.Find(tt.q)) != tt.want {
			t.Errorf("%+v: %d listed, %d found, want %d", tt.q, len(all), len(r.Find(tt.q)), tt.want)
		}
		for _, d := range all {
			if tt.q.Listener != "" && d.Listener != tt.q.Listener || d.TrustStore != "s" {
				t.Errorf("%+v: %s under %s", tt.q, d.Listener, d.TrustStore)
			}
		}
	}
}

// While the lock is given back, others leave and move; markers stay out of what
// others are told, and go.
func TestAListingIsNotDisturbed(t *testing.T) {
	r := NewRegistry()
	entries := settled(r, 500)
	group := entries[0].group
	stays := map[*Entry]bool{}
	for i, e := range entries {
		stays[e] = i%4 < 2 // of either listener
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for i, e := range entries {
			if !stays[e] && i%3 == 0 {
				r.Remove(e)
			}
		}
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				r.Put(entries[i%500], numbered{n: uint64(i%500 + 1)}, somewhere(i))
				for _, e := range r.At(nil, "a") {
					r.conn(e)
				}
			}
		}
	})
	for range 200 {
		found := map[*Entry]int{}
		for _, s := range r.standing(func(place) bool { return true }) {
			found[s.entry]++
		}
		for _, n := range found {
			if n != 1 {
				t.Fatalf("found %d times", n)
			}
		}
		for e, stayed := range stays {
			if stayed && found[e] != 1 {
				t.Fatal("one that stayed was not found")
			}
		}
	}
	close(done)
	others.Wait()

	// In small steps, with everybody leaving in between.
	for _, some := range []int{1, 2, 499} {
		r.walk(nil, group, some)
	}
	for _, e := range entries {
		r.Remove(e)
	}
	if r.walk(nil, group, 1) != nil || r.Len() != 0 || len(r.groups) != 0 {
		t.Errorf("%d connections, %d groups are left", r.Len(), len(r.groups))
	}
}

// What a listing of a hundred thousand costs, and for how long a handshake waits.
func BenchmarkList(b *testing.B) {
	r := NewRegistry()
	settled(r, 100_000)
	for b.Loop() {
		if some, _ := r.List(Query{}, [16]byte{}, 100); len(some) != 100 {
			b.Fatal(len(some))
		}
	}
	b.StopTimer()
	done := make(chan struct{})
	var lists sync.WaitGroup
	lists.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				r.List(Query{}, [16]byte{}, 100)
			}
		}
	})
	var longest time.Duration
	for range 1000 {
		began := time.Now()
		r.Len()
		longest = max(longest, time.Since(began))
	}
	close(done)
	lists.Wait()
	b.ReportMetric(float64(longest.Microseconds()), "µs-longest-wait")
}
