package upstream

import (
	"context"
	"errors"

	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/forward/upstream/private"
	"countersign.dev/internal/wire/proxyproto"
)

// A Private is the connections to targets that one client's connection has for
// itself: to targets that are told of the client by a PROXY header. No other
// client may use them.
type Private struct{ client *private.Client }

// NewPrivate returns a Private that tells targets what c says. Close ends it.
func NewPrivate(c *proxyproto.Connection) *Private { return &Private{client: private.New(c)} }

// Client is what targets are told.
func (p *Private) Client() *proxyproto.Connection { return p.client.Told() }

// Close closes the connections that are idle, and those in use when they are
// released. Exchanges that have p already may go on.
func (p *Private) Close() { p.client.Close() }

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
	return t.dial(ctx, own, "", false)
}

// DialAs is Target.DialAs for that client.
func (p *Private) DialAs(ctx context.Context, t *Target, protocol string, listens bool) (*pool.Conn, error) {
	own, err := p.at(t)
	if err != nil {
		return nil, err
	}
	return t.dial(ctx, own, protocol, listens)
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
func (p *Private) at(t *Target) (*private.Own, error) {
	if !t.Private() {
		return nil, nil
	}
	return p.client.At(t.privates)
}

// errUntold is the error of a connection to a target that must be told of a
// client, for nobody in particular.
var errUntold = errors.New("the target is to be told of the client by a PROXY header, and no client was named; this is a fault in countersign, please report it")
