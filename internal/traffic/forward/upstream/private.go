package upstream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/proxyproto"
)

// A Private is the connections to targets that one client's connection has for
// itself: to targets that are told of the client by a PROXY header, which holds
// for all that comes behind it. No other client may use them. What is told never
// changes; another Private tells something else.
type Private struct {
	client *proxyproto.Connection

	mu     sync.Mutex
	closed bool
	pools  map[*Target]*privatePool
}

// NewPrivate returns a Private that tells targets what c says. Close ends it.
func NewPrivate(c *proxyproto.Connection) *Private {
	return &Private{client: c, pools: map[*Target]*privatePool{}}
}

// Client is what targets are told.
func (p *Private) Client() *proxyproto.Connection { return p.client }

// Close closes the connections that are idle, and those in use when they are
// released. Exchanges that have p already may go on.
func (p *Private) Close() {
	p.mu.Lock()
	p.closed = true
	pools := p.pools
	p.pools = map[*Target]*privatePool{}
	p.mu.Unlock()
	for t, own := range pools {
		own.closed.Store(true)
		own.conns.Leave()
		t.privates.forgetIfOver(own)
	}
}

// Get is Target.Get for that client.
func (p *Private) Get(t *Target) (c *pool.Conn, reused bool, err error) {
	own, err := p.at(t)
	if err != nil {
		return nil, false, err
	}
	return t.get(own)
}

// Dial is Target.Dial for that client.
func (p *Private) Dial(ctx context.Context, t *Target) (*pool.Conn, error) {
	own, err := p.at(t)
	if err != nil {
		return nil, err
	}
	return t.dial(ctx, own, "")
}

// DialAs is Target.DialAs for that client.
func (p *Private) DialAs(ctx context.Context, t *Target, protocol string) (*pool.Conn, error) {
	own, err := p.at(t)
	if err != nil {
		return nil, err
	}
	return t.dial(ctx, own, protocol)
}

// Stream is Target.Stream for that client.
func (p *Private) Stream(ctx context.Context, t *Target) (*h2pool.Stream, error) {
	own, err := p.at(t)
	if err != nil {
		return nil, err
	}
	return t.stream(ctx, own)
}

// at returns the client's connections to t, in use; nil for a target that is told
// nothing and is shared by all.
func (p *Private) at(t *Target) (*privatePool, error) {
	if !t.Private() {
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if own := p.pools[t]; own != nil {
		own.busy.Add(1)
		return own, nil
	}
	header, err := t.announces.Header(p.client)
	if err != nil {
		return nil, err
	}
	for old := range p.pools { // else a client that stays would remember every target there ever was
		if old.privates.ended() {
			delete(p.pools, old)
		}
	}
	own := newPrivatePool(t, header)
	own.busy.Add(1)
	if !t.privates.add(own) {
		return nil, reach.ErrDeregistered
	}
	if p.closed { // it serves this exchange alone
		own.closed.Store(true)
		own.conns.Leave()
	} else {
		p.pools[t] = own
	}
	return own, nil
}

// errUntold is the error of a connection to a target that must be told of a
// client, for nobody in particular.
var errUntold = errors.New("the target is to be told of the client by a PROXY header, and no client was named; this is a fault in countersign, please report it")

// A privatePool is the connections that one client has to one target.
type privatePool struct {
	conns  connections // that of the two which the protocol needs
	pool   *pool.Pool
	h2     *h2pool.Pool
	busy   atomic.Int64 // exchanges under way
	closed atomic.Bool  // nothing becomes idle any more
}

func newPrivatePool(t *Target, header []byte) *privatePool {
	own := &privatePool{}
	if t.HTTP2() {
		own.h2 = h2pool.New(t.multiplexed(header, func() { t.done(own) }))
		own.conns = own.h2
	} else {
		own.pool = pool.New(pool.Config{Way: t.way, Header: header, Done: func() { t.done(own) }})
		own.conns = own.pool
	}
	return own
}

func (own *privatePool) configure(p plan, now time.Time) {
	if own.h2 != nil {
		own.h2.Configure(p.sharing(), now)
	} else {
		own.pool.Configure(p.pooling(), now)
	}
}

// over reports whether nothing is left of it, and nothing will be.
func (own *privatePool) over() bool {
	return own.closed.Load() && own.busy.Load() == 0 && own.conns.None()
}

// privates are the private pools of a target.
type privates struct {
	mu            sync.Mutex
	all           map[*privatePool]struct{}
	settings      plan
	leaving, gone bool
}

// add makes own one of them, false once the target is gone.
func (p *privates) add(own *privatePool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return false
	}
	if p.all == nil {
		p.all = map[*privatePool]struct{}{}
	}
	p.all[own] = struct{}{}
	own.configure(p.settings, time.Time{})
	if p.leaving {
		own.conns.Leave()
	}
	return true
}

func (p *privates) forgetIfOver(own *privatePool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own.over() {
		delete(p.all, own)
	}
}

func (p *privates) configure(settings plan, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settings = settings
	for own := range p.all {
		own.configure(settings, now)
	}
}

func (p *privates) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = true
	for own := range p.all {
		own.conns.Leave()
	}
}

func (p *privates) end() (used int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving, p.gone = true, true
	for own := range p.all {
		used += own.conns.End()
	}
	p.all = nil
	return used
}

func (p *privates) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

func (p *privates) expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for own := range p.all {
		own.conns.Expire(now)
		if own.over() {
			delete(p.all, own)
		}
	}
}

func (p *privates) resting() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for own := range p.all {
		n += own.conns.Resting()
	}
	return n
}
