package source

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/internal/control/source/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// When a source is asked for again, a tenth of jitter aside.
func TestThePlan(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	k := New(Config{Now: func() time.Time { return now }})
	failed := errors.New("no")
	for _, tc := range []struct {
		name string
		s    source
		want time.Duration
	}{
		{"after refresh", source{}, 5 * time.Minute},
		{"a list that lasts", source{until: now.Add(time.Hour)}, 5 * time.Minute},
		{"half of the time that a list has left", source{until: now.Add(time.Minute)}, 30 * time.Second},
		{"a second before it ends", source{until: now.Add(100 * time.Millisecond)}, time.Second},
		{"it is over", source{until: now.Add(-time.Hour)}, 10 * time.Second},
		{"after a failure", source{row: 1, fault: failed}, time.Second},
		{"after two", source{row: 2, fault: failed}, 2 * time.Second},
		{"after seven", source{row: 7, fault: failed}, 64 * time.Second},
		{"after very many", source{row: 1000, fault: failed}, 5 * time.Minute},
		{"a busy server", source{row: 1, fault: &origin.BusyError{After: time.Minute}}, time.Minute},
		{"a very busy server", source{row: 1, fault: &origin.BusyError{After: time.Hour}}, 5 * time.Minute},
	} {
		s := tc.s
		s.spec.Refresh = 5 * time.Minute
		k.plan(&s)
		if wait := s.due.Sub(now); wait > tc.want || wait < tc.want*9/10 {
			t.Errorf("%s: after %v, want %v or up to a tenth less", tc.name, wait, tc.want)
		}
	}
	s := source{row: 3}
	s.spec.Refresh = time.Second
	if k.plan(&s); s.due.Sub(now) > time.Second {
		t.Errorf("a failure puts a source off beyond its refresh: %v", s.due.Sub(now))
	}
}
