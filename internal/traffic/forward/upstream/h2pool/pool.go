package h2pool

import (
	"container/list"
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/http2"
)

// A Config is what never changes about a Pool.
type Config struct {
	Way     *reach.Way
	Header  []byte          // what connections begin with; nil: nothing
	Done    func()          // is told of the end of each exchange for which Get returned a stream
	Dialing context.Context // once it has ended, nothing is connected to any more
	Talkers *sync.WaitGroup // of those who dial, and those who read; its owner waits for them after End
}

// Settings are those of a configuration.
type Settings struct {
	ConnectTimeout time.Duration // how long somebody waits for a connection
	IdleTimeout    time.Duration // a connection without streams is closed after this
}

// A Pool is the connections of one target that speaks HTTP/2. A stream goes
// to the fullest that has room, so that what is not needed grows idle and is
// closed.
type Pool struct {
	config Config

	mu            sync.Mutex
	conns         []*conn            // that may get streams
	open          map[*conn]struct{} // these, and those that end with their last stream
	waiting       list.List          // of chan grant: who found no room, in their order; then dialing holds
	dialing       bool
	leaving, gone bool // leaving: no connection becomes idle any more; gone: nothing is open any more
	first         int  // streams that a connection gets before the target has spoken; see note
	settings      Settings
}

// New returns a Pool without connections, for Configure.
func New(c Config) *Pool { return &Pool{config: c, first: unsettled} }

// A grant is what somebody waited for.
type grant struct {
	stream *Stream
	err    error
}

// Configure takes the settings of a new configuration. Connections that it would
// make otherwise get no further streams.
func (p *Pool) Configure(s Settings, now time.Time) {
	p.mu.Lock()
	p.settings = s
	old := p.takeIdle(func(c *conn) bool { return !c.secured.Current(now) })
	p.mu.Unlock()
	for _, c := range old {
		c.GoAway()
	}
}

// patience is how long one waits for a connection.
func (p *Pool) patience() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settings.ConnectTimeout
}

// Get returns a stream, to be given back with Release. Many share a connection; if
// none has room, one is made for all who wait. The error has the address in it, as
// the dialer's has, or is reach.ErrDeregistered. Nobody waits longer than the
// connect timeout, or than ctx.
func (p *Pool) Get(ctx context.Context) (*Stream, error) {
	p.mu.Lock()
	if p.gone {
		p.mu.Unlock()
		return nil, reach.ErrDeregistered
	}
	if p.waiting.Len() == 0 { // else it is their turn
		if s := p.reserve(); s != nil {
			p.mu.Unlock()
			return s, nil
		}
	}
	granted := make(chan grant, 1)
	place := p.waiting.PushBack(granted)
	p.dial()
	timer := time.NewTimer(p.settings.ConnectTimeout)
	p.mu.Unlock()

	defer timer.Stop()
	var err error
	select {
	case g := <-granted:
		return g.stream, g.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = os.ErrDeadlineExceeded
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case g := <-granted: // at the last moment
		return g.stream, g.err
	default:
	}
	p.waiting.Remove(place)
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: hostPort(p.config.Way.Address), Err: err}
}

// A hostPort is the address of a target as the configuration has it.
type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (a hostPort) String() string { return string(a) }

// reserve returns a stream on the fullest connection with room, or nil. The
// caller holds mu.
func (p *Pool) reserve() *Stream {
	for {
		var c *conn
		for _, other := range p.conns {
			p.note(other)
			if other.room(p.first) && (other.secured.TLS == nil || other.secured.Current(p.config.Way.Now())) && (c == nil || other.streams > c.streams) {
				c = other
			}
		}
		if c == nil {
			return nil
		}
		s, err := c.NewStream()
		switch err {
		case nil:
			reused := c.served
			c.streams, c.served = c.streams+1, true
			return &Stream{Stream: s, pool: p, conn: c, reused: reused}
		case http2.ErrFull:
			c.full = true
		default: // it goes away, or has ended
			p.forsake(c)
		}
	}
}

// note looks how many streams the target allows, once it has spoken: it will say
// the same on the next connection, and refuse what it gets beyond that. But one
// stream there is, for each connection serves somebody. The caller holds mu.
func (p *Pool) note(c *conn) {
	if !c.noted && c.settled() {
		c.noted = true
		p.first = int(min(max(c.PeerStreams(), 1), unsettled))
	}
}

// forsake gives c no further streams. The caller holds mu.
func (p *Pool) forsake(c *conn) {
	p.conns = slices.DeleteFunc(p.conns, func(have *conn) bool { return have == c })
}

// hand gives streams to those who wait, as long as there is room. The caller
// holds mu.
func (p *Pool) hand() {
	for p.waiting.Len() > 0 {
		s := p.reserve()
		if s == nil {
			return
		}
		p.waiting.Remove(p.waiting.Front()).(chan grant) <- grant{stream: s}
	}
}

// fail ends all waiting. The caller holds mu.
func (p *Pool) fail(err error) {
	for p.waiting.Len() > 0 {
		p.waiting.Remove(p.waiting.Front()).(chan grant) <- grant{err: err}
	}
}

// dial has a connection made for those who wait, unless that is under way. The
// caller holds mu.
func (p *Pool) dial() {
	if !p.dialing {
		p.dialing = true
		p.config.Talkers.Go(p.connect)
	}
}

// connect makes a connection, hands out streams on it, and stays until the
// target has said how many it allows.
func (p *Pool) connect() {
	m, err := p.config.Way.Connect(p.config.Dialing, reach.Opening{Timeout: p.patience(), Header: p.config.Header})
	p.mu.Lock()
	p.dialing = false
	if err == nil && p.gone {
		m.TCP.Close()
		err = reach.ErrDeregistered
	}
	if err != nil {
		p.fail(err)
		p.mu.Unlock()
		return
	}
	now := p.config.Way.Now()
	c := newConn(m, now)
	if p.open == nil {
		p.open = make(map[*conn]struct{})
	}
	p.open[c] = struct{}{}
	p.conns = append(p.conns, c)
	// Before anything is read, so that it cannot have ended yet: each connection
	// serves somebody, or what is wrong with the target is told to nobody.
	p.hand()
	if p.waiting.Len() > 0 {
		p.dial()
	}
	idle := p.unneeded(c, now)
	p.config.Talkers.Go(func() {
		c.serve()
		p.drop(c)
	})
	p.mu.Unlock()
	if idle {
		c.GoAway()
	}

	select {
	case <-c.Settled():
		p.mu.Lock()
		c.full = false
		p.hand()
		p.mu.Unlock()
	case <-c.ended:
	}
}

// unneeded reports whether c is idle, and the target leaves or would be connected
// to otherwise; it is forsaken then, and must be told to go. The caller holds mu.
func (p *Pool) unneeded(c *conn, now time.Time) bool {
	idle := c.streams == 0 && (p.leaving || !c.secured.Current(now))
	if idle {
		p.forsake(c)
	}
	return idle
}

// release takes back a stream of c.
func (p *Pool) release(c *conn, now time.Time) {
	p.mu.Lock()
	c.streams--
	c.full = false
	if c.streams == 0 {
		c.idleSince = now
	}
	p.hand()
	idle := p.unneeded(c, now)
	p.mu.Unlock()
	if idle {
		c.GoAway()
	}
}

// drop forgets a connection that has ended.
func (p *Pool) drop(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	p.forsake(c)
}

// Expire closes the connections that were idle for too long, and tells how long
// too long is.
func (p *Pool) Expire(now time.Time) (idleTimeout time.Duration) {
	p.mu.Lock()
	idleTimeout = p.settings.IdleTimeout
	old := p.takeIdle(func(c *conn) bool { return now.Sub(c.idleSince) >= idleTimeout || !c.secured.Current(now) })
	p.mu.Unlock()
	for _, c := range old {
		c.GoAway()
	}
	return idleTimeout
}

// Leave closes the idle connections; the others are closed when their last
// stream is released, or by End.
func (p *Pool) Leave() {
	p.mu.Lock()
	p.leaving = true
	idle := p.takeIdle(func(*conn) bool { return true })
	p.mu.Unlock()
	for _, c := range idle {
		c.GoAway()
	}
}

// takeIdle forsakes the idle connections that are old, and returns them. The
// caller holds mu.
func (p *Pool) takeIdle(old func(*conn) bool) (idle []*conn) {
	p.conns = slices.DeleteFunc(p.conns, func(c *conn) bool {
		take := c.streams == 0 && old(c)
		if take {
			idle = append(idle, c)
		}
		return take
	})
	return idle
}

// End closes everything and lets no connection in any more. It returns how many
// were in use.
func (p *Pool) End() (used int) {
	p.mu.Lock()
	p.leaving, p.gone = true, true
	p.fail(reach.ErrDeregistered)
	open := p.open
	p.open, p.conns = nil, nil
	for c := range open {
		if c.streams > 0 {
			used++
		}
	}
	p.mu.Unlock()
	for c := range open {
		c.Abort()
	}
	return used
}

// None reports whether no connection is open, nor being made.
func (p *Pool) None() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) == 0 && !p.dialing
}

// Resting returns how many connections are idle.
func (p *Pool) Resting() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if c.streams == 0 {
			n++
		}
	}
	return n
}
