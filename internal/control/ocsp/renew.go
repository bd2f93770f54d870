package ocsp

import (
	"container/heap"
	"context"
	"time"

	"countersign.dev/internal/traffic/verify/revocation/ocsp"
)

// A renewal is an answer that is to be renewed, if somebody is connected whom it
// concerns.
type renewal struct {
	at      time.Time
	store   string // whose line it is
	subject *subject
	slot    int
}

// A schedule has the renewals, the next one first.
type schedule struct {
	heap  renewals
	byKey map[ocsp.Key]*renewal
}

// renewAt puts s into the schedule, or moves it there.
func (a *Asker) renewAt(l *Line, s *subject, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := &a.schedule
	if r := q.byKey[s.key]; r != nil {
		r.at, r.store, r.subject = at, l.settings.TrustStore, s
		heap.Fix(&q.heap, r.slot)
	} else {
		if len(q.heap) >= ocsp.MaxAnswers {
			return
		}
		if q.byKey == nil {
			q.byKey = map[ocsp.Key]*renewal{}
		}
		r = &renewal{at: at, store: l.settings.TrustStore, subject: s}
		q.byKey[s.key] = r
		heap.Push(&q.heap, r)
	}
	if q.heap[0].at.Equal(at) {
		select {
		case a.sooner <- struct{}{}:
		default:
		}
	}
}

// Run renews answers about certificates of clients that are connected, until ctx
// ends.
func (a *Asker) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, next := a.due(time.Now())
		for _, r := range due {
			if !a.cfg.Holds(r.subject.certificate()) {
				continue // whoever comes with it has it renewed
			}
			a.renew(r)
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.sooner:
		}
	}
}

// renew asks about r as the trust store asks now, if it does.
func (a *Asker) renew(r *renewal) {
	a.mu.Lock()
	l := a.inForce[r.store]
	a.mu.Unlock()
	if l == nil {
		return
	}
	s := *r.subject // the other one may be on its way
	if l.direct(&s) == nil && a.fly(l, &s, nil) == nil {
		a.renewAt(l, &s, time.Now().Add(failedFor))
	}
}

// due takes those out of the schedule whose time has come, and returns after how
// long the next one's will have.
func (a *Asker) due(now time.Time) (due []*renewal, next time.Duration) {
	// The clock may be set, and a machine that slept has not counted the time.
	const mostUnseen = 10 * time.Second
	a.mu.Lock()
	defer a.mu.Unlock()
	q := &a.schedule
	for len(q.heap) > 0 && !q.heap[0].at.After(now) {
		r := heap.Pop(&q.heap).(*renewal)
		delete(q.byKey, r.subject.key)
		due = append(due, r)
	}
	if len(q.heap) == 0 {
		return due, time.Hour
	}
	return due, min(q.heap[0].at.Sub(now), mostUnseen)
}

// renewals is a heap.
type renewals []*renewal

func (h renewals) Len() int           { return len(h) }
func (h renewals) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h renewals) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push is heap.Interface's.
func (h *renewals) Push(x any) {
	r := x.(*renewal)
	r.slot = len(*h)
	*h = append(*h, r)
}

// Pop is heap.Interface's.
func (h *renewals) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
