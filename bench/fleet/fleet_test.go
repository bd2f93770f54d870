package fleet

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"testing"

	"countersign.dev/internal/control/device"
	"countersign.dev/internal/pgserver"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/testrequire"
)

const few = 3 * Connecting

func TestDevicesOfAListAreDifferentOnes(t *testing.T) {
	lines, err := csv.NewReader(List(few)).ReadAll()
	if err != nil || len(lines) != few+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	ids := map[string]bool{}
	for n, line := range lines[1:] {
		if ids[line[0]] || line[0] != Device(n) {
			t.Errorf("line %d is about %s", n+2, line[0])
		}
		ids[line[0]] = true
	}
}

func imported(t *testing.T, s *store.Store, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	r := device.New(device.Config{Store: s, IDs: device.IDs{Form: device.FormMAC}})
	if _, err := r.Import(t.Context(), device.Author{Who: "bench"}, List(few), device.Import{Format: device.CSV}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDevicesAreLookedUpInSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "devices.db")
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: file})
	imported(t, s, err)
	r, err := Spec{SQLite: file, Devices: few, Lookups: 50}.Measure(t.Context())
	if err != nil || r.P50 <= 0 || r.P99 < r.P50 || r.Trips != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := (Spec{SQLite: file, Devices: few + 50, Lookups: few + 50}).Measure(t.Context()); err == nil {
		t.Error("devices that are not there were found")
	}
}

func TestRoundTripsToPostgreSQLAreCounted(t *testing.T) {
	server, err := pgserver.Start(t.Context(), pgserver.Config{
		Initdb: testrequire.Program(t, "initdb"), Postgres: testrequire.Program(t, "postgres"), Settings: []string{"fsync=off"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	s, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL()})
	imported(t, s, err)
	r, err := Spec{Postgres: server.Dir, Devices: few, Lookups: 50}.Measure(t.Context())
	if err != nil || r.P99 < r.P50 || r.Trips != 1 {
		t.Errorf("%+v, %v", r, err)
	}

	// Two questions are two round trips: what says one can say otherwise.
	dir, err := os.MkdirTemp("", "trips")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	watch, err := watchTrips(dir, server.Dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err = postgres.Open(t.Context(), postgres.Config{URL: pgserver.URL(dir), Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() {
		if _, err := s.Devices.Device(t.Context(), Device(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Credentials.Of(t.Context(), Device(1)); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	before := watch.count.Load()
	if ask(); watch.count.Load()-before != 2 {
		t.Errorf("%d round trips for two questions", watch.count.Load()-before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := watch.stop(); err != nil {
		t.Fatal(err)
	}
}
