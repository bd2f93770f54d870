package gather

import "sync"

// Work is something that is done for several callers at once. Its zero value
// is ready.
type Work[T any] struct {
	mu      sync.Mutex // of waiting
	waiting []*call[T]
	turn    sync.Mutex // held by the caller that works
}

type call[T any] struct {
	value   T
	err     error
	settled bool // written by whoever holds turn
}

// Do returns once run has been called with value among the values, in a call
// that began after Do did. run is called by one caller at a time, and returns
// an error for each value, or nil for none at all.
func (w *Work[T]) Do(value T, run func([]T) []error) error {
	own := &call[T]{value: value}
	w.mu.Lock()
	w.waiting = append(w.waiting, own)
	w.mu.Unlock()

	w.turn.Lock()
	defer w.turn.Unlock()
	if own.settled {
		return own.err
	}
	w.mu.Lock()
	calls := w.waiting
	w.waiting = nil
	w.mu.Unlock()
	values := make([]T, len(calls))
	for i, c := range calls {
		values[i] = c.value
	}
	errs := run(values)
	for i, c := range calls {
		c.settled = true
		if errs != nil {
			c.err = errs[i]
		}
	}
	return own.err
}
