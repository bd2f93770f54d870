package basic

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
)

// Turns let few passwords be computed at a time, so that a flood of them leaves
// the other CPUs to those who are served. They are shared by all credentials.
type Turns struct {
	slots   chan struct{}
	waiting atomic.Int64
}

// mostWaiting bounds how many wait for their turn.
const mostWaiting = 256

// NewTurns allows half as many at a time as there are CPUs, at least one.
func NewTurns() *Turns {
	return &Turns{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

var errFull = errors.New("as many passwords wait to be verified as may")

// take waits for a turn, which release ends.
func (t *Turns) take(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > mostWaiting {
		return errFull
	}
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Turns) release() { <-t.slots }
