package credential

import (
	"net/netip"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// mostSources bounds what Attempts remember. Beyond that, who failed long ago is
// forgotten, rather than somebody kept out who never did.
const mostSources = 1 << 16

// Attempts count the failures of sources. They are safe for concurrent use; nil
// counts nothing.
type Attempts struct {
	sources *otter.Cache[netip.Addr, *bucket]
}

// A bucket has the failures of one source: so many a minute flow out of it.
type bucket struct {
	mu    sync.Mutex
	level float64
	at    time.Time
}

// NewAttempts returns Attempts without any.
func NewAttempts() *Attempts {
	return &Attempts{otter.Must(&otter.Options[netip.Addr, *bucket]{
		MaximumSize: mostSources,
		Executor:    func(task func()) { task() }, // no goroutine that nobody waits for
	})}
}

// Barred returns how long a source has to wait that has had most failures within
// a minute; 0: it need not.
func (a *Attempts) Barred(source netip.Addr, most int, now time.Time) time.Duration {
	if a == nil || most == 0 {
		return 0
	}
	b, ok := a.sources.GetIfPresent(block(source))
	if !ok {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	over := b.flow(most, now) + 1 - float64(most)
	if over <= 0 {
		return 0
	}
	return max(time.Duration(over*float64(time.Minute)/float64(most)), time.Millisecond)
}

// Failed counts a failure.
func (a *Attempts) Failed(source netip.Addr, most int, now time.Time) {
	if a == nil || most == 0 {
		return
	}
	b, _ := a.sources.ComputeIfAbsent(block(source), func() (*bucket, bool) { return &bucket{at: now}, false })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.level = min(b.flow(most, now)+1, float64(most))
}

// flow returns how many failures of the last minute are left.
func (b *bucket) flow(most int, now time.Time) float64 {
	if since := now.Sub(b.at); since > 0 { // a clock that goes back takes nothing away
		b.level = max(0, b.level-since.Minutes()*float64(most))
		b.at = now
	}
	return b.level
}

// block is what one source has: an IPv4 address, an IPv6 /64.
func block(a netip.Addr) netip.Addr {
	if a = a.Unmap(); !a.Is6() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
