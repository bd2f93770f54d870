package pace

import (
	"hash/maphash"
	"sync"
	"time"
)

// slots bounds what a Limit remembers, whoever comes. Two of those who try may
// share a slot; which ones nobody can tell beforehand.
const slots = 1 << 14

// A Limit allows so many attempts a minute to each of any number of names. It is
// safe for concurrent use.
type Limit struct {
	most int
	seed maphash.Seed

	mu    sync.Mutex
	slots []slot
}

// A slot is a bucket that fills evenly.
type slot struct {
	at   time.Time
	left float64
}

// New makes a Limit of most attempts a minute, all of which may come at once.
func New(most int) *Limit {
	return &Limit{most: most, seed: maphash.MakeSeed(), slots: make([]slot, slots)}
}

// Take counts an attempt. It returns 0 if there is room for it, else how long to
// wait for it.
func (l *Limit) Take(name string, now time.Time) time.Duration {
	i := maphash.String(l.seed, name) % slots
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.slots[i]
	most, each := float64(l.most), time.Minute/time.Duration(l.most)
	if s.at.IsZero() {
		s.left = most
	} else if since := now.Sub(s.at); since > 0 {
		s.left = min(most, s.left+float64(since)/float64(each))
	}
	s.at = now
	if s.left < 1 {
		return time.Duration((1 - s.left) * float64(each))
	}
	s.left--
	return 0
}
