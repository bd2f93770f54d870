package source

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"countersign.dev/internal/control/source/origin"
)

const (
	atOnce    = 4                      // fetches, of servers that answer
	turnWait  = 2 * time.Second        // for one of those to end
	gather    = 100 * time.Millisecond // what arrives together is one change
	firstWait = time.Second            // after a failure; then twice as long each time
	mostWait  = 5 * time.Minute        // after many
	soonest   = time.Second            // between two fetches as the end of a list comes near
	overdue   = 10 * time.Second       // between two when it is past
)

// Changed receives a value when there is something new to be published.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// Hurry has every source fetched now.
func (k *Keeper) Hurry() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.sources {
		s.due = time.Time{}
	}
	k.nudge()
}

// Renew has one source fetched now, and waits until that has ended, well or not.
func (k *Keeper) Renew(ctx context.Context, url string) {
	k.mu.Lock()
	s := k.sources[url]
	if s == nil {
		k.mu.Unlock()
		return
	}
	if s.asked == nil {
		s.asked = make(chan struct{})
	}
	asked := s.asked
	s.due = time.Time{}
	k.nudge()
	k.mu.Unlock()
	select {
	case <-asked:
	case <-ctx.Done():
	}
}

func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default: // somebody has
	}
}

// plan says when a source is fetched next; the caller holds the lock.
func (k *Keeper) plan(s *source) {
	now := k.cfg.Now()
	wait := jitter(s.spec.Refresh)
	if left := s.until.Sub(now); !s.until.IsZero() && left <= wait {
		// Several times before the end, with ever less in between.
		near := overdue
		if left > 0 {
			near = max(soonest, left/2)
		}
		wait = min(wait, jitter(near))
	}
	if s.row > 0 {
		back := min(mostWait, firstWait<<min(s.row-1, 16))
		if busy, ok := errors.AsType[*origin.BusyError](s.fault); ok {
			back = max(back, busy.After)
		}
		wait = min(jitter(s.spec.Refresh), jitter(back))
	}
	s.due = now.Add(wait)
}

// jitter takes up to a tenth off, so that a fleet of nodes does not ask at once.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

// Run fetches what is due until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	var tell <-chan time.Time // when to say that there is something new; nil: there is not
	for {
		next := k.begin(func(s *source) {
			running.Go(func() {
				k.inTurn(ctx, s)
				k.nudge()
			})
		})
		if k.takeNews() && tell == nil {
			tell = time.After(gather)
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-k.wake:
		case <-tell:
			tell = nil
			select {
			case k.changed <- struct{}{}:
			default: // somebody is about to look
			}
		}
		timer.Stop()
	}
}

// inTurn fetches a source, whose fetching is set, when it has a turn, or has
// waited for one long enough: servers that hang hold up none that answers.
func (k *Keeper) inTurn(ctx context.Context, s *source) {
	enough := time.NewTimer(turnWait)
	defer enough.Stop()
	select {
	case k.turns <- struct{}{}:
		defer func() { <-k.turns }()
	case <-enough.C:
	case <-ctx.Done():
		return
	}
	k.fetch(ctx, s)
}

// begin has fetch called for what is due, and returns how long the next can wait.
func (k *Keeper) begin(fetch func(*source)) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, next := k.cfg.Now(), time.Hour
	for _, s := range k.sources {
		switch wait := s.due.Sub(now); {
		case s.fetching:
		case wait <= 0:
			s.fetching = true
			fetch(s)
		default:
			next = min(next, wait)
		}
	}
	return next
}

func (k *Keeper) takeNews() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	news := k.news
	k.news = false
	return news
}
