package private

import (
	"sync"

	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/wire/proxyproto"
)

// A Client is the connections to targets that one client's connection has for
// itself. What targets are told by the PROXY header holds for all that comes
// behind it, and never changes; another Client tells something else.
type Client struct {
	told *proxyproto.Connection

	mu     sync.Mutex
	closed bool
	own    map[*Target]*Own
}

// New returns a Client that tells targets what told says. Close ends it.
func New(told *proxyproto.Connection) *Client {
	return &Client{told: told, own: map[*Target]*Own{}}
}

// Told is what targets are told.
func (c *Client) Told() *proxyproto.Connection { return c.told }

// Close closes the connections that are idle, and those in use when they are
// released. Exchanges that have c already may go on.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	all := c.own
	c.own = map[*Target]*Own{}
	c.mu.Unlock()
	for t, own := range all {
		own.closed.Store(true)
		own.conns.Leave()
		t.forgetIfOver(own)
	}
}

// At returns the client's connections to t, for one exchange, whose end must be
// told to Done if neither pool gives anything for it. The error is about the
// header, or reach.ErrDeregistered.
func (c *Client) At(t *Target) (*Own, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if own := c.own[t]; own != nil {
		own.busy.Add(1)
		return own, nil
	}
	header, err := t.config.Plan.Header(c.told)
	if err != nil {
		return nil, err
	}
	for old := range c.own { // else a client that stays would remember every target there ever was
		if old.ended() {
			delete(c.own, old)
		}
	}
	own := newOwn(&t.config, header)
	own.busy.Add(1)
	if !t.add(own) {
		return nil, reach.ErrDeregistered
	}
	if c.closed { // it serves this exchange alone
		own.closed.Store(true)
		own.conns.Leave()
	} else {
		c.own[t] = own
	}
	return own, nil
}
