package load

import (
	"sync"
	"time"
)

// A diary is what one worker did, each operation by itself: which of them fell
// into the time of an event is known only later.
type diary struct {
	entries []diaryEntry
	err     error // it stopped at this
	over    <-chan struct{}
}

type diaryEntry struct {
	began time.Time
	took  time.Duration
}

type diaries []*diary

func newDiaries(n int, over <-chan struct{}) diaries {
	all := make(diaries, n)
	for i := range all {
		all[i] = &diary{entries: make([]diaryEntry, 0, 1<<16), over: over}
	}
	return all
}

// keep has each worker do its operation again and again, until it is over.
func (all diaries) keep(running *sync.WaitGroup, work []operation) {
	for i, d := range all {
		running.Go(func() { d.keep(work[i]) })
	}
}

func (d *diary) keep(work operation) {
	for {
		select {
		case <-d.over:
			return
		default:
		}
		began := time.Now()
		if d.err = work(); d.err != nil {
			return
		}
		d.entries = append(d.entries, diaryEntry{began, time.Since(began)})
	}
}

// A Phase is a part of the work.
type Phase struct {
	Operations int64         `json:"operations"`
	P50        time.Duration `json:"p50_ns"`
	P99        time.Duration `json:"p99_ns"`
}

// between sums up the operations that ended after from and began before to.
func (all diaries) between(from, to time.Time) (p Phase) {
	var h histogram
	for _, d := range all {
		for _, e := range d.entries {
			if e.began.Before(to) && e.began.Add(e.took).After(from) {
				h.record(e.took)
				p.Operations++
			}
		}
	}
	p.P50, p.P99 = h.percentile(50), h.percentile(99)
	return p
}

func (all diaries) fault() error {
	for _, d := range all {
		if d.err != nil {
			return d.err
		}
	}
	return nil
}
