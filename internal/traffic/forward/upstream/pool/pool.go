package pool

import (
	"context"
	"slices"
	"sync"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/reach"
)

// A Config is what never changes about a Pool.
type Config struct {
	Way    *reach.Way
	Header []byte // what connections begin with; nil: nothing
	Done   func() // is told of the end of each exchange for which Get or Dial returned a connection
}

// Settings are those of a configuration.
type Settings struct {
	ConnectTimeout time.Duration // how long a connection attempt may take
	IdleTimeout    time.Duration // an idle connection is not used after this
	MaxIdle        int           // idle connections that are kept; 0 or less: none
}

// A Pool is the connections of one target. Idle ones are used last in, first
// out, so that what is not needed grows old and is closed.
type Pool struct {
	way    *reach.Way
	header []byte
	done   func()

	mu            sync.Mutex
	idle          []*Conn            // the one that came back last at the end
	open          map[*Conn]struct{} // idle and in use
	leaving, gone bool               // leaving: nothing becomes idle any more; gone: nothing is open any more
	settings      Settings
}

// New returns a Pool without connections, for Configure.
func New(c Config) *Pool { return &Pool{way: c.Way, header: c.Header, done: c.Done} }

// Get returns a connection, to be given back with Release: the one that came back
// last, if it is still good, or a new one. It reports whether the connection was
// used before. The error is that of Dial.
func (p *Pool) Get(ctx context.Context) (c *Conn, reused bool, err error) {
	if c := p.take(p.way.Now()); c != nil {
		return c, true, nil
	}
	c, err = p.Dial(ctx, "", false)
	return c, false, err
}

// Dial returns a new connection, to be given back with Release. protocol and listens
// are as in a reach.Opening. The error is that of reach.Way.Connect, or
// reach.ErrDeregistered.
func (p *Pool) Dial(ctx context.Context, protocol string, listens bool) (*Conn, error) {
	timeout, gone := p.dialing()
	if gone {
		return nil, reach.ErrDeregistered
	}
	made, err := p.way.Connect(ctx, reach.Opening{Timeout: timeout, Header: p.header, Protocol: protocol, Listens: listens})
	if err != nil {
		return nil, err
	}
	c, err := newConn(made, p)
	if err == nil && !p.add(c) {
		err = reach.ErrDeregistered
	}
	if err != nil {
		made.TCP.Close()
		return nil, err
	}
	return c, nil
}

// Configure takes the settings of a new configuration. Idle connections that it
// would make otherwise are closed, those in use when they are released.
func (p *Pool) Configure(s Settings, now time.Time) {
	p.mu.Lock()
	p.settings = s
	var old []*Conn
	p.idle = slices.DeleteFunc(p.idle, func(c *Conn) bool {
		current := c.secured.Current(now)
		if !current {
			old = append(old, c)
		}
		return !current
	})
	p.mu.Unlock()
	for _, c := range old {
		p.part(c)
	}
}

// dialing says how long a connection attempt may take, or that the target is gone.
func (p *Pool) dialing() (timeout time.Duration, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settings.ConnectTimeout, p.gone
}

// add takes a new connection, in use, unless the target is gone.
func (p *Pool) add(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return false
	}
	if p.open == nil {
		p.open = make(map[*Conn]struct{})
	}
	p.open[c] = struct{}{}
	c.held = true
	return true
}

// take returns an idle connection that is still good, or nil.
func (p *Pool) take(now time.Time) *Conn {
	for {
		p.mu.Lock()
		n := len(p.idle) - 1
		if n < 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[n]
		p.idle[n] = nil
		p.idle = p.idle[:n]
		good := now.Sub(c.idleSince) < p.settings.IdleTimeout && c.secured.Current(now)
		p.mu.Unlock()
		if !good {
			p.part(c)
			continue
		}

		// Not in idle, not held: nobody else has it but the end of draining. The
		// look costs a system call, however short the rest was: what a target sends
		// behind the end of its answer would be the answer to the next client, and
		// that one's to the client after it.
		if c.quiet() {
			p.mu.Lock()
			if !p.gone {
				c.held, c.reused = true, true
				p.mu.Unlock()
				return c
			}
			p.mu.Unlock()
		}
		p.drop(c)
	}
}

// put takes back a connection in use: among the idle ones if keep allows it and
// there is room, else it is closed. It reports whether c was in use at all.
func (p *Pool) put(c *Conn, keep bool, now time.Time) (ended bool) {
	p.mu.Lock()
	if !c.held {
		p.mu.Unlock()
		return false
	}
	c.held = false
	keep = keep && c.secured.Current(now) && !p.leaving && len(p.idle) < p.settings.MaxIdle
	if keep {
		c.idleSince = now
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		p.drop(c)
	}
	return true
}

// part closes a connection that was idle.
func (p *Pool) part(c *Conn) {
	c.goodbye()
	p.drop(c)
}

// drop closes a connection that is neither idle nor in use.
func (p *Pool) drop(c *Conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	c.shut()
}

// Expire closes the connections that were idle for too long, and tells how long
// too long is.
func (p *Pool) Expire(now time.Time) (idleTimeout time.Duration) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].idleSince) >= p.settings.IdleTimeout {
		n++
	}
	old := append([]*Conn(nil), p.idle[:n]...)
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	idleTimeout = p.settings.IdleTimeout
	p.mu.Unlock()
	for _, c := range old {
		p.part(c)
	}
	return idleTimeout
}

// Leave closes the idle connections; those in use are closed when they are
// released, or by End.
func (p *Pool) Leave() {
	p.mu.Lock()
	p.leaving = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		p.part(c)
	}
}

// End closes everything and lets no connection in any more. It returns how many
// were in use.
func (p *Pool) End() (used int) {
	p.mu.Lock()
	p.leaving, p.gone = true, true
	open := p.open
	p.open, p.idle = nil, nil
	p.mu.Unlock()
	for c := range open {
		c.ending.why.Store(int32(Deregistered))
		c.shut()
	}
	return len(open)
}

// None reports whether no connection is open.
func (p *Pool) None() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) == 0
}

// Resting returns how many connections are idle.
func (p *Pool) Resting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}
