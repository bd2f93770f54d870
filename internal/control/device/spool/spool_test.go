package spool

import (
	"fmt"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/store"
)

// The same rows come out in order, whether they fit into memory or not.
func TestASpoolSortsWhatDoesNotFitIntoMemory(t *testing.T) {
	for _, limit := range []int{7, 1000} {
		s := New(t.TempDir())
		s.limit = limit
		notes := "n"
		for i := range 100 {
			row := store.Row{ID: fmt.Sprintf("d%02d", (i*37)%100/2), Line: i, State: countersign.DeviceReady}
			if i%2 == 0 {
				row.Notes, row.Labels = &notes, map[string]string{"i": fmt.Sprint(i), "": ""}
			}
			if i%5 == 0 {
				row.Labels = map[string]string{}
			}
			if err := s.Add(row); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			n, last := 0, store.Row{Line: -1}
			for row, err := range s.All() {
				if err != nil {
					t.Fatal(err)
				}
				i := row.Line
				if byID(last, row) >= 0 || row.ID != fmt.Sprintf("d%02d", (i*37)%100/2) || row.State != countersign.DeviceReady ||
					(row.Notes != nil) != (i%2 == 0) || (row.Labels != nil) != (i%2 == 0 || i%5 == 0) || i%2 == 0 && i%5 > 0 && row.Labels["i"] != fmt.Sprint(i) {
					t.Fatalf("limit %d: after %+v comes %+v", limit, last, row)
				}
				last = row
				n++
			}
			if n != 100 {
				t.Errorf("limit %d: %d rows come back of 100", limit, n)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
