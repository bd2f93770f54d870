package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
)

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
