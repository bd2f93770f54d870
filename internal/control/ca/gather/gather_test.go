package gather

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestWhoComesDuringARunIsPartOfTheNext(t *testing.T) {
	var w Work[int]
	began, goOn := make(chan struct{}), make(chan struct{})
	var runs [][]int
	run := func(values []int) []error {
		runs = append(runs, values)
		if len(runs) == 1 {
			close(began)
			<-goOn
		}
		errs := make([]error, len(values))
		for i, v := range values {
			if v%2 == 1 {
				errs[i] = errors.New("odd")
			}
		}
		return errs
	}
	var first, others sync.WaitGroup
	first.Go(func() {
		if err := w.Do(0, run); err != nil {
			t.Error(err)
		}
	})
	<-began
	const n = 20
	for v := 1; v <= n; v++ {
		others.Go(func() {
			if err := w.Do(v, run); (err != nil) != (v%2 == 1) {
				t.Errorf("%d: %v", v, err)
			}
		})
	}
	for { // until all of them wait
		w.mu.Lock()
		waiting := len(w.waiting)
		w.mu.Unlock()
		if waiting == n {
			break
		}
	}
	close(goOn)
	first.Wait()
	others.Wait()
	if len(runs) != 2 || len(runs[1]) != n {
		t.Errorf("runs %v, want one for the first and one for the others together", runs)
	}
}

func TestOneRunAtATime(t *testing.T) {
	var w Work[struct{}]
	var inside, total atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_ = w.Do(struct{}{}, func(values []struct{}) []error {
				if inside.Add(1) > 1 {
					t.Error("two runs at once")
				}
				total.Add(int64(len(values)))
				inside.Add(-1)
				return nil
			})
		})
	}
	wg.Wait()
	if total.Load() != 50 {
		t.Errorf("%d values were worked on, want 50", total.Load())
	}
}
