package health

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// script is a target that answers as written: '+' well, '-' not, '.' not
// before the check times out.
type script struct {
	answers string
	at      []time.Time
}

func (s *script) Check(ctx context.Context, _ string) Result {
	i := len(s.at)
	s.at = append(s.at, time.Now())
	if i >= len(s.answers) {
		<-ctx.Done()
		return Result{}
	}
	switch s.answers[i] {
	case '+':
		return Result{OK: true}
	case '.':
		<-ctx.Done()
		return failed(ctx, ctx.Err())
	}
	return Result{Code: FailedHealthChecks, Reason: "Health checks failed: connection refused"}
}

// watched runs Watch over a script in a bubble of fake time and returns the
// results, with the time from the start to the beginning of each check.
func watched(t *testing.T, c Config, answers string) (results []Result, at []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		s := &script{answers: answers}
		Watch(ctx, s, c, "192.0.2.1:80", func(r Result) {
			if results = append(results, r); len(results) == len(answers) {
				cancel()
			}
		})
		for _, a := range s.at {
			at = append(at, a.Sub(start))
		}
	})
	return results, at
}

func TestWatchChecksAtOnceThenInIntervals(t *testing.T) {
	const interval = 10 * time.Second
	for range 20 {
		_, at := watched(t, Config{Interval: interval}, "++-.+-")
		if at[0] != 0 {
			t.Errorf("the first check began after %v, want at once", at[0])
		}
		for i := 1; i < len(at); i++ {
			least, most := interval*9/10, interval*11/10
			if i == 1 {
				least, most = interval/2, interval*3/2
			}
			if gap := at[i] - at[i-1]; gap < least || gap > most {
				t.Errorf("check %d began %v after the one before, want %v to %v", i, gap, least, most)
			}
		}
	}
}

func TestWatchGivesEachCheckItsTimeout(t *testing.T) {
	results, _ := watched(t, Config{}, ".")
	if want := (Result{Code: Timeout, Reason: "Request timed out"}); results[0] != want {
		t.Errorf("got %+v, want %+v", results[0], want)
	}
}

func TestWatchDoesNotReportACheckThatWasCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Watch(ctx, &script{}, Config{}, "192.0.2.1:80", func(r Result) { t.Errorf("reported %+v", r) })
		}()
		synctest.Wait() // the check hangs
		cancel()
		<-done
	})
}

func TestGapIsSpread(t *testing.T) {
	const interval = 10 * time.Second
	for _, tc := range []struct {
		first       bool
		chance      float64
		least, most time.Duration
	}{
		{true, 0, interval / 2, interval / 2},
		{true, 0.999999, interval, interval * 3 / 2},
		{false, 0, interval * 9 / 10, interval * 9 / 10},
		{false, 0.5, interval, interval},
		{false, 0.999999, interval, interval * 11 / 10},
	} {
		if got := gap(interval, tc.first, tc.chance); got < tc.least || got > tc.most {
			t.Errorf("gap(first=%v, chance=%v) = %v, want %v to %v", tc.first, tc.chance, got, tc.least, tc.most)
		}
	}
}

func TestTracker(t *testing.T) {
	for name, tc := range map[string]struct {
		healthy, unhealthy int
		answers, states    string // the state after each: H healthy, U unhealthy
	}{
		"one good check after registration": {3, 3, "+", "H"},
		"one bad check after registration":  {3, 3, "-", "U"},
		"started after the gateway":         {3, 3, "--+", "UUH"},
		"healthy until the threshold":       {2, 3, "+---", "HHHU"},
		"a good check starts the count":     {2, 3, "+--+--+", "HHHHHHH"},
		"back only at the threshold":        {3, 1, "+-+++", "HUUUH"},
		"a bad check starts the count":      {3, 1, "+-++-+++", "HUUUUUUH"},
		"flapping stays where it is":        {2, 2, "+-+-+-+-+--+-+-+", "HHHHHHHHHHUUUUUU"},
		"thresholds of one follow":          {1, 1, "+-+-", "HUHU"},
		"never proven, flapping":            {5, 1, "-+-+", "UHUU"},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			tracker := NewTracker(Config{Healthy: tc.healthy, Unhealthy: tc.unhealthy}, now)
			if s := tracker.Status(); s.State != Initial || s.Since != now || s.Code != InitialHealthChecking {
				t.Fatalf("at registration: %+v", s)
			}
			before := tracker.Status()
			for i, answer := range tc.answers {
				now = now.Add(time.Second)
				r := Result{OK: true}
				if answer == '-' {
					r = Result{Code: Timeout, Reason: "Request timed out"}
				}
				changed := tracker.Observe(r, now)
				s := tracker.Status()
				if want := map[byte]State{'H': Healthy, 'U': Unhealthy}[tc.states[i]]; s.State != want {
					t.Fatalf("after %s: %s, want %s", tc.answers[:i+1], s.State, want)
				}
				if changed != (s.State != before.State) || changed != (s.Since == now) {
					t.Errorf("after %s: changed=%v, since %v, now %v", tc.answers[:i+1], changed, s.Since, now)
				}
				if (s.State == Unhealthy) != (s.Reason != "") || (s.Reason == "") != (s.Code == "") {
					t.Errorf("after %s: %+v", tc.answers[:i+1], s)
				}
				before = s
			}
		})
	}
}

func TestTrackerGivesTheLatestReason(t *testing.T) {
	tracker := NewTracker(Config{}, time.Time{})
	tracker.Observe(Result{Code: Timeout, Reason: "Request timed out"}, time.Time{})
	if tracker.Observe(Result{Code: ResponseCodeMismatch, Reason: "Health checks failed with these codes: [500]"}, time.Time{}) {
		t.Error("another reason counts as another state")
	}
	if s := tracker.Status(); s.Code != ResponseCodeMismatch || s.Reason != "Health checks failed with these codes: [500]" {
		t.Errorf("got %+v", s)
	}
}
