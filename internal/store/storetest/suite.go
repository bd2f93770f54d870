package storetest

import (
	"errors"
	"net/netip"
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
		{"the standing of devices is read at once", standings},
		{"an enrollment is kept with its device and its credential", enrolled},
		{"an enrollment is kept whole or not at all", enrolledWhole},
		{"an enrollment ends with the credentials, its key for good", enrollmentEnds},
		{"who waits for approval is listed", waiting},
		{"the first use of what was delivered is noted once", acknowledged},
		{"of many who enroll at the same time one is the first", enrolledOnce},
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
