package private

import (
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/pool"
)

// An Own is the connections that one client has to one target, for one exchange
// at a time or over HTTP/2.
type Own struct {
	Pool   *pool.Pool   // nil: the target speaks HTTP/2
	H2     *h2pool.Pool // nil: it does not
	conns  connections  // that of the two
	done   func()
	busy   atomic.Int64 // exchanges under way
	closed atomic.Bool  // nothing becomes idle any more
}

// connections are those of a pool, whatever they carry.
type connections interface {
	Leave()
	End() (used int)
	Expire(now time.Time) (idleTimeout time.Duration)
	Resting() int
	None() bool
}

func newOwn(c *Config, header []byte) *Own {
	own := &Own{done: c.Done}
	if c.HTTP2 {
		own.H2 = h2pool.New(h2pool.Config{Way: c.Way, Header: header, Done: own.Done, Dialing: c.Dialing, Talkers: c.Talkers})
		own.conns = own.H2
	} else {
		own.Pool = pool.New(pool.Config{Way: c.Way, Header: header, Done: own.Done})
		own.conns = own.Pool
	}
	return own
}

// Done ends an exchange.
func (own *Own) Done() {
	own.busy.Add(-1)
	own.done()
}

func (own *Own) configure(s Settings, now time.Time) {
	if own.H2 != nil {
		own.H2.Configure(s.H2, now)
	} else {
		own.Pool.Configure(s.Pool, now)
	}
}

// over reports whether nothing is left of it, and nothing will be.
func (own *Own) over() bool {
	return own.closed.Load() && own.busy.Load() == 0 && own.conns.None()
}
