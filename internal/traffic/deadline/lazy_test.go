package deadline_test

import (
	"errors"
	"testing"
	"time"

	"countersign.dev/internal/traffic/deadline"
	"pgregory.net/rapid"
)

// A socket notes the deadline it has and how often it was set.
type socket struct {
	at   time.Time
	sets int
	err  error
}

func (s *socket) set(t time.Time) error {
	s.at = t
	s.sets++
	return s.err
}

func TestLazyKeepsTheDeadlineWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l deadline.Lazy
		var s socket
		now := time.Unix(1_800_000_000, 0)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "pause")))
			d := time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "d"))
			if err := l.Arm(s.set, now, d); err != nil {
				t.Fatal(err)
			}
			if d == 0 {
				if !s.at.IsZero() {
					t.Fatalf("d=0: deadline %v is still there", s.at)
				}
				continue
			}
			if left := s.at.Sub(now); left > d || left < d/2 {
				t.Fatalf("d=%v: the socket has %v left", d, left)
			}

			// Where the socket fires, the wait is over or goes on exactly to its end.
			fired, end := s.at, now.Add(d)
			over, err := l.Expired(s.set, fired)
			if err != nil || over != fired.Equal(end) {
				t.Fatalf("fired %v before the end: over=%v, %v", end.Sub(fired), over, err)
			}
			if !over && !s.at.Equal(end) {
				t.Fatalf("re-armed to %v, want %v", s.at, end)
			}
			if over, err := l.Expired(s.set, end); !over || err != nil {
				t.Fatalf("at the end: over=%v, %v", over, err)
			}
		}
	})
}

func TestLazySetsOnceInHalfTheWait(t *testing.T) {
	var l deadline.Lazy
	var s socket
	now := time.Unix(1_800_000_000, 0)
	for range 10_000 { // 100 s of a request every 10 ms
		if err := l.Arm(s.set, now, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		now = now.Add(10 * time.Millisecond)
	}
	if s.sets > 20 {
		t.Errorf("set %d times, want 20: once in 5 s", s.sets)
	}
}

func TestLazyForgetsADeadlineThatWasNotSet(t *testing.T) {
	var l deadline.Lazy
	s := socket{err: errors.New("use of closed network connection")}
	now := time.Unix(1_800_000_000, 0)
	if err := l.Arm(s.set, now, time.Second); err == nil {
		t.Fatal("the error of set was swallowed")
	}
	s.err = nil
	if err := l.Arm(s.set, now, time.Second); err != nil || s.sets != 2 {
		t.Errorf("after a failed set: %d sets, %v; want a second set", s.sets, err)
	}
}

func TestLazyZeroIsExpired(t *testing.T) {
	var l deadline.Lazy
	var s socket
	if over, err := l.Expired(s.set, time.Unix(1_800_000_000, 0)); !over || err != nil || s.sets != 0 {
		t.Errorf("over=%v, %v, %d sets; want a deadline that somebody else armed to be over", over, err, s.sets)
	}
}
