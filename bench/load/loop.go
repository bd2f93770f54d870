package load

import (
	"errors"
	"sync"
	"time"
)

// An operation is one piece of work, which is done again and again.
type operation func() error

// A tally is what one worker has counted.
type tally struct {
	latencies histogram
	done      int64
	err       error // it stopped at this
	last      time.Time
}

// closed has every worker do its operation, the next when the last one is done,
// until d has passed. A worker stops at its first error.
func closed(work []operation, d time.Duration) Result {
	start := time.Now()
	end := start.Add(d)
	return together(len(work), start, func(i int, t *tally) {
		for began := start; began.Before(end); began = t.last {
			if t.err = work[i](); t.err != nil {
				return
			}
			t.last = time.Now()
			t.latencies.record(t.last.Sub(began))
			t.done++
		}
	})
}

// together runs n workers, and sums up what they counted since start.
func together(n int, start time.Time, worker func(i int, t *tally)) Result {
	tallies := make([]tally, n)
	var running sync.WaitGroup
	for i := range tallies {
		running.Go(func() { worker(i, &tallies[i]) })
	}
	running.Wait()
	r := Result{Connections: n}
	all := &tallies[0].latencies
	last := start
	for i := range tallies {
		t := &tallies[i]
		if i > 0 {
			all.add(&t.latencies)
		}
		r.Operations += t.done
		if t.last.After(last) {
			last = t.last
		}
		if t.err != nil {
			r.Errors++
			if r.Error == "" {
				r.Error = t.err.Error()
			}
		}
	}
	r.Elapsed, r.P50, r.P99 = last.Sub(start), all.percentile(50), all.percentile(99)
	return r
}

// Err is the first error of a Result, if it has one.
func (r Result) Err() error {
	if r.Errors == 0 {
		return nil
	}
	return errors.New(r.Error)
}
