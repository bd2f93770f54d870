package upstream

import (
	"container/list"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev"
)

// A QueueConfig bounds the waiting for a place at a target of a group with
// MaxConnections.
type QueueConfig struct {
	Length  int           // requests that wait, of the whole group; negative: none does; 0: 1000
	Timeout time.Duration // how long one waits; 0: 10s
}

// take gives t one more request to do, unless it has limit already; 0: no limit.
func (t *Target) take(limit int64) bool {
	for {
		n := t.taken.Load()
		if limit > 0 && n >= limit {
			return false
		}
		if t.taken.CompareAndSwap(n, n+1) {
			t.roster.taken.Add(1)
			return true
		}
	}
}

// give is the end of such a request.
func (t *Target) give() {
	r := t.roster
	t.taken.Add(-1)
	r.taken.Add(-1)
	if r.line.waiting.Load() > 0 {
		r.line.freed(t)
	}
}

// A line is those who wait for a place at a target of a group. First come, first
// served: who comes while somebody waits waits behind. Only one that has tried
// the target with a free place already is passed over.
type line struct {
	waiting atomic.Int64

	mu    sync.Mutex
	queue list.List // of *waiter
}

// A waiter is one of them.
type waiter struct {
	group   *Group
	asker   Asker
	not     []*Target
	granted chan *Target // has room for one
}

// stand puts w at the end, unless length wait already.
func (l *line) stand(w *waiter, length int) (*list.Element, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.Len() >= length {
		return nil, false
	}
	at := l.queue.PushBack(w)
	l.waiting.Store(int64(l.queue.Len()))
	return at, true
}

// serve gives places to those who wait, as long as there are any.
func (l *line) serve(r *roster) {
	if l.waiting.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for at := l.queue.Front(); at != nil; {
		w, next := at.Value.(*waiter), at.Next()
		t := w.group.seat(r.ring.Load(), &w.asker, w.not)
		if t == nil && r.full(w.group.limit) {
			return
		}
		if t != nil {
			l.grant(at, t)
		}
		at = next
	}
}

// freed gives a place at t to the first one who can take it.
func (l *line) freed(t *Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !t.usable.Load() {
		return
	}
	for at := l.queue.Front(); at != nil; at = at.Next() {
		w := at.Value.(*waiter)
		if slices.Contains(w.not, t) {
			continue
		}
		if t.take(w.group.limit) {
			l.grant(at, t)
		}
		return
	}
}

// grant gives the place that was taken at t to who waits there. The caller holds mu.
func (l *line) grant(at *list.Element, t *Target) {
	w := l.queue.Remove(at).(*waiter)
	l.waiting.Store(int64(l.queue.Len()))
	w.granted <- t
}

// leave is the end of w's waiting without a place. If it was given one in the
// same moment, that is returned.
func (l *line) leave(at *list.Element, w *waiter) *Target {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case t := <-w.granted:
		return t
	default:
	}
	l.queue.Remove(at)
	l.waiting.Store(int64(l.queue.Len()))
	return nil
}

// full reports whether no target that may be picked has a free place.
func (r *roster) full(limit int64) bool {
	if limit <= 0 {
		return false
	}
	ring := r.ring.Load()
	return !slices.ContainsFunc(ring.targets, func(t *Target) bool { return t.taken.Load() < limit })
}

// seat returns a target with a free place, which is taken then, by the group's
// algorithm if that finds one soon, or nil.
func (g *Group) seat(ring *ring, a *Asker, not []*Target) *Target {
	if limit := g.limit * int64(len(ring.targets)); limit > 0 && g.roster.taken.Load() >= limit {
		return nil
	}
	request, ok := g.request(ring, a, not)
	for ok {
		i := g.pick(ring, a, request)
		if i < 0 {
			return nil
		}
		if t := ring.targets[i]; t.take(g.limit) {
			return t
		}
		a.full = true
		ok = request.Tried.Add(i)
	}
	if n := len(ring.targets); n > 0 {
		for i, from := 0, rand.IntN(n); i < n; i++ {
			if t := ring.targets[(from+i)%n]; !slices.Contains(not, t) && t.take(g.limit) {
				return t
			}
		}
	}
	return nil
}

// looksAgain is how long a place in the queue may be held for a client that has left.
const looksAgain = 100 * time.Millisecond

// await is Pick on a group whose targets take so many requests at a time.
func (g *Group) await(a *Asker, not []*Target) (*Target, *countersign.Denial) {
	r := g.roster
	ring := r.ring.Load()
	if r.line.waiting.Load() == 0 {
		if t := g.seat(ring, a, not); t != nil {
			return t, nil
		}
	}
	if denial := g.hopeless(ring, not); denial != nil {
		return nil, denial
	}
	w := &waiter{group: g, asker: *a, not: slices.Clone(not), granted: make(chan *Target, 1)}
	at, ok := r.line.stand(w, g.queue.Length)
	if !ok {
		return nil, countersign.Deny(countersign.StageForward, countersign.TargetsBusy,
			"target group %q: each of its %d usable targets has %d requests (max_connections), and %d wait already (queue.length)",
			g.name, len(ring.targets), g.limit, max(0, g.queue.Length))
	}
	r.line.serve(r) // a place may have become free before w stood there
	timer := time.NewTimer(g.queue.Timeout)
	defer timer.Stop()
	var look <-chan time.Time
	if a.Peer != nil {
		looks := time.NewTicker(looksAgain)
		defer looks.Stop()
		look = looks.C
	}
	for waiting := true; waiting; {
		gone := false
		select {
		case t := <-w.granted:
			return t, nil
		case <-timer.C:
			waiting = false
		case <-a.Gone:
			gone = true
		case <-look:
			gone = a.Peer.Left()
		}
		if gone {
			if t := r.line.leave(at, w); t != nil {
				t.give()
			}
			return nil, countersign.Deny(countersign.StageForward, countersign.ClientClosed,
				"the client went away while it waited for one of target group %q", g.name)
		}
	}
	if t := r.line.leave(at, w); t != nil {
		return t, nil
	}
	return nil, countersign.Deny(countersign.StageForward, countersign.TargetsBusy,
		"target group %q: no place at one of its %d usable targets, %d requests each (max_connections), within %s (queue.timeout)",
		g.name, len(r.ring.Load().targets), g.limit, g.queue.Timeout)
}

// hopeless says why waiting will not help; nil: it may.
func (g *Group) hopeless(ring *ring, not []*Target) *countersign.Denial {
	if len(ring.targets) == 0 {
		return ring.none
	}
	if !slices.ContainsFunc(ring.targets, func(t *Target) bool { return !slices.Contains(not, t) }) {
		return g.allTried(ring)
	}
	return nil
}
