package upstream

import (
	"slices"
	"sync"
	"time"
)

// A pool is the connections of one target. Idle ones are used last in, first
// out, so that what is not needed grows old and is closed.
type pool struct {
	mu             sync.Mutex
	idle           []*Conn            // the one that came back last at the end
	open           map[*Conn]struct{} // idle and in use
	leaving, gone  bool               // leaving: nothing becomes idle any more; gone: nothing is open any more
	connectTimeout time.Duration
	idleTimeout    time.Duration
	maxIdle        int
	own            *privatePool // that it is; nil: it is everybody's
}

// configure takes the settings of a new configuration. Idle connections that it
// would make otherwise are closed, those in use when they are released.
func (p *pool) configure(g plan, now time.Time) {
	p.mu.Lock()
	p.connectTimeout, p.idleTimeout, p.maxIdle = g.ConnectTimeout, g.IdleTimeout, max(0, g.MaxIdle)
	var old []*Conn
	p.idle = slices.DeleteFunc(p.idle, func(c *Conn) bool {
		current := c.current(now)
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
func (p *pool) dialing() (timeout time.Duration, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connectTimeout, p.gone
}

// add takes a new connection, in use, unless the target is gone.
func (p *pool) add(c *Conn) bool {
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
func (p *pool) take(now time.Time) *Conn {
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
		good := now.Sub(c.idleSince) < p.idleTimeout && c.current(now)
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
func (p *pool) put(c *Conn, keep bool, now time.Time) (ended bool) {
	p.mu.Lock()
	if !c.held {
		p.mu.Unlock()
		return false
	}
	c.held = false
	keep = keep && c.current(now) && !p.leaving && len(p.idle) < p.maxIdle
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
func (p *pool) part(c *Conn) {
	c.goodbye()
	p.drop(c)
}

// drop closes a connection that is neither idle nor in use.
func (p *pool) drop(c *Conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	c.shut()
}

// expire closes the connections that were idle for too long, and tells how long
// too long is.
func (p *pool) expire(now time.Time) (idleTimeout time.Duration) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].idleSince) >= p.idleTimeout {
		n++
	}
	old := append([]*Conn(nil), p.idle[:n]...)
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	idleTimeout = p.idleTimeout
	p.mu.Unlock()
	for _, c := range old {
		p.part(c)
	}
	return idleTimeout
}

// leave closes the idle connections; those in use are closed when they are
// released, or by end.
func (p *pool) leave() {
	p.mu.Lock()
	p.leaving = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		p.part(c)
	}
}

// end closes everything and lets no connection in any more. It returns how many
// were in use.
func (p *pool) end() (used int) {
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

func (p *pool) none() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) == 0
}

func (p *pool) resting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}
