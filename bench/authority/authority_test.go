package authority

import (
	"path/filepath"
	"testing"
	"time"

	"countersign.dev/bench/fleet"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/sqlite"
)

func TestEveryCertificateIsADeliveryToAnotherDevice(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
	if err != nil {
		t.Fatal(err)
	}
	const devices = 20
	work := Issue{Dir: filepath.Join(t.TempDir(), "ca"), Store: s, Devices: devices, Callers: 4, Time: time.Hour}
	if perSecond, err := work.Measure(t.Context()); err != nil || perSecond <= 0 {
		t.Fatalf("%v, %v", perSecond, err)
	}
	for n := range devices {
		found, err := s.Credentials.Of(t.Context(), fleet.Device(n))
		if err != nil || len(found) != 1 {
			t.Errorf("device %d has %d credentials, %v", n, len(found), err)
		}
		e, err := s.Enrollments.Enrollment(t.Context(), fleet.Device(n))
		if err != nil || len(e.Taken) != 32 || e.Delivered.IsZero() {
			t.Errorf("device %d: %+v, %v", n, e, err)
		}
	}
	if page, err := s.Devices.List(t.Context(), store.Query{}); err != nil || len(page.Devices) != devices {
		t.Errorf("%d devices, %v", len(page.Devices), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestListsHaveEverybodyWhoWasRevoked(t *testing.T) {
	running, opened, err := Lists(t.Context(), filepath.Join(t.TempDir(), "ca"), 300)
	if err != nil || running <= 0 || opened <= 0 {
		t.Errorf("%s, %s, %v", running, opened, err)
	}
}
