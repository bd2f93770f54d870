package private

import (
	"context"
	"sync"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/proxyproto"
)

// A Config is what never changes about a Target.
type Config struct {
	Plan    proxyproto.Plan // the header that it is told
	HTTP2   bool            // that it speaks
	Way     *reach.Way
	Done    func()          // is told of the end of each exchange
	Dialing context.Context // as for h2pool.Config
	Talkers *sync.WaitGroup // as for h2pool.Config
}

// Settings are those of a configuration.
type Settings struct {
	Pool pool.Settings
	H2   h2pool.Settings
}

// A Target is one that is told of clients, with the connections of all of them.
type Target struct {
	config Config

	mu            sync.Mutex
	all           map[*Own]struct{}
	settings      Settings
	leaving, gone bool
}

// NewTarget returns a Target without connections, for Configure.
func NewTarget(c Config) *Target { return &Target{config: c} }

// add makes own one of them, false once the target is gone.
func (t *Target) add(own *Own) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return false
	}
	if t.all == nil {
		t.all = map[*Own]struct{}{}
	}
	t.all[own] = struct{}{}
	own.configure(t.settings, time.Time{})
	if t.leaving {
		own.conns.Leave()
	}
	return true
}

func (t *Target) forgetIfOver(own *Own) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.over() {
		delete(t.all, own)
	}
}

// Configure takes the settings of a new configuration.
func (t *Target) Configure(settings Settings, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settings = settings
	for own := range t.all {
		own.configure(settings, now)
	}
}

// Leave is that of all pools, those that come too.
func (t *Target) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = true
	for own := range t.all {
		own.conns.Leave()
	}
}

// End is that of all pools, and lets no client in any more. It returns how many
// connections were in use.
func (t *Target) End() (used int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving, t.gone = true, true
	for own := range t.all {
		used += own.conns.End()
	}
	t.all = nil
	return used
}

func (t *Target) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone
}

// Expire closes the connections that were idle for too long, and forgets clients
// that are gone.
func (t *Target) Expire(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for own := range t.all {
		own.conns.Expire(now)
		if own.over() {
			delete(t.all, own)
		}
	}
}

// Resting returns how many connections are idle.
func (t *Target) Resting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for own := range t.all {
		n += own.conns.Resting()
	}
	return n
}

// Clients returns how many clients have connections, or may have.
func (t *Target) Clients() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// Terminate closes all connections in use that one exchange at a time has, because
// the target is unhealthy, and returns how many there were.
func (t *Target) Terminate() (used int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for own := range t.all {
		if own.Pool != nil {
			used += own.Pool.Terminate()
		}
	}
	return used
}
