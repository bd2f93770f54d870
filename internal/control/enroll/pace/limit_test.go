package pace

import (
	"testing"
	"time"
)

func TestEachNameHasSoManyAttemptsAMinute(t *testing.T) {
	l := New(6)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 6 {
		if wait := l.Take("a", now); wait != 0 {
			t.Fatalf("attempt %d waits for %s", i+1, wait)
		}
	}
	if wait := l.Take("a", now); wait != 10*time.Second {
		t.Errorf("the seventh waits for %s, want 10s", wait)
	}
	if wait := l.Take("a", now.Add(4*time.Second)); wait != 6*time.Second {
		t.Errorf("the eighth, 4s later, waits for %s, want 6s", wait)
	}
	if wait := l.Take("a", now.Add(10*time.Second)); wait != 0 {
		t.Errorf("10s later it waits for %s", wait)
	}
	later := now.Add(time.Hour)
	for i := range 6 {
		if wait := l.Take("a", later); wait != 0 {
			t.Fatalf("an hour later attempt %d waits for %s", i+1, wait)
		}
	}
	if l.Take("a", later) == 0 {
		t.Error("an hour of silence gave more than a minute's attempts")
	}
	if wait := l.Take("a", now); wait == 0 { // the clock was set back
		t.Error("a clock that goes back gives attempts")
	}
}
