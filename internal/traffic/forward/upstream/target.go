package upstream

import (
	"context"
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/forward/upstream/private"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/traffic/forward/upstream/shares"
	"countersign.dev/internal/wire/proxyproto"
)

// A Target is one server of a target group.
type Target struct {
	group, address string
	protocol       string
	way            *reach.Way
	check          health.Config // zero: always healthy
	fleet          *Fleet
	roster         *roster
	mark           uint64

	// Guarded by the roster's mu.
	share *shares.Target // but for Report
	name  string         // by which the configuration has it: its address, or what that was found by

	// Guarded by the fleet's mu.
	unwatch context.CancelFunc // ends the health check
	delay   time.Duration      // deregistration delay
	until   time.Time          // the end of the delay, once removed

	usable        atomic.Bool  // it is in the ring
	taken         atomic.Int64 // requests, on a group that counts them
	inFlight      atomic.Int64
	connectErrors atomic.Uint64
	keeps         atomic.Bool                    // connections in use stay when the delay is over
	forgiven      atomic.Int64                   // nanoseconds that connections in use go on when the target turns unhealthy; negative: for as long as they like
	checker       atomic.Pointer[health.Checker] // of the configuration in force; nil: always healthy
	conns         connections                    // that of the two which the protocol needs
	pool          *pool.Pool
	h2            *h2pool.Pool

	announces proxyproto.Plan // what each connection begins with; zero: nothing
	privates  *private.Target // then no connection is shared
}

// connections are those of a target, whatever it speaks.
type connections interface {
	Leave()
	End() (used int)
	Expire(now time.Time) (idleTimeout time.Duration)
	Resting() int
	None() bool // not one is there, nor being made
}

// Group returns the name of the target's group.
func (t *Target) Group() string { return t.group }

// Address returns host:port as the configuration has it.
func (t *Target) Address() string { return t.address }

// HTTP2 reports whether the target speaks HTTP/2: whether it is for Stream, or
// for Get and Dial.
func (t *Target) HTTP2() bool { return t.protocol == "h2" || t.protocol == "grpc" }

// Secure reports whether the target is reached over TLS.
func (t *Target) Secure() bool { return t.way.OverTLS }

// Private reports whether the target is told of the client by a PROXY header:
// then it is for a client's Private, and none of its connections is shared.
func (t *Target) Private() bool { return t.announces.Version != 0 }

// InFlight returns how many exchanges are under way: connections that somebody
// got and did not release, connection attempts included.
func (t *Target) InFlight() int64 { return t.inFlight.Load() }

// Get returns a connection to the target, to be given back with Release: the
// one that came back last, if it is still good, or a new one. It reports
// whether the connection was used before; such a connection may turn out to be
// closed by the target, which is what Dial is for. The error is the dialer's, a
// *net.OpError with the address in it, a *countersign.Denial about TLS, or
// reach.ErrDeregistered.
func (t *Target) Get() (c *pool.Conn, reused bool, err error) { return t.get(nil) }

// get is Get for whom own is the connections of, nil for everybody.
func (t *Target) get(own *private.Own) (c *pool.Conn, reused bool, err error) {
	from, err := t.begin(own)
	if err != nil {
		return nil, false, err
	}
	if c, reused, err = from.Get(t.fleet.dialing); err != nil {
		t.done(own)
	}
	return c, reused, err
}

// Dial returns a new connection to the target, to be given back with Release.
func (t *Target) Dial(ctx context.Context) (*pool.Conn, error) { return t.dial(ctx, nil, "", false) }

// DialAs is Dial for a client with which protocol was agreed upon by ALPN, "" if
// nothing: over TLS the target is offered that, unless its group says what is. listens
// says that perhaps it is the target that speaks first.
func (t *Target) DialAs(ctx context.Context, protocol string, listens bool) (*pool.Conn, error) {
	return t.dial(ctx, nil, protocol, listens)
}

func (t *Target) dial(ctx context.Context, own *private.Own, protocol string, listens bool) (*pool.Conn, error) {
	from, err := t.begin(own)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.fleet.dialing, cancel)()
	c, err := from.Dial(ctx, protocol, listens)
	if err != nil {
		t.done(own)
	}
	return c, err
}

// Stream returns a stream to the target, which must speak HTTP/2, to be given
// back with Release. Many share a connection; if none has room, one is made for
// all who wait. The error has the address in it, as the dialer's has, or is
// reach.ErrDeregistered. Nobody waits longer than the connect timeout, or than ctx.
func (t *Target) Stream(ctx context.Context) (*h2pool.Stream, error) { return t.stream(ctx, nil) }

func (t *Target) stream(ctx context.Context, own *private.Own) (*h2pool.Stream, error) {
	if own == nil && t.Private() {
		return nil, errUntold
	}
	from := t.h2
	if own != nil {
		from = own.H2
	}
	t.inFlight.Add(1)
	s, err := from.Get(ctx)
	if err != nil {
		t.done(own)
		return nil, err
	}
	return s, nil
}

// begin counts an exchange over HTTP/1.1 and returns where its connection is from.
func (t *Target) begin(own *private.Own) (*pool.Pool, error) {
	if own == nil && t.Private() {
		return nil, errUntold
	}
	t.inFlight.Add(1)
	if own == nil {
		return t.pool, nil
	}
	return own.Pool, nil
}

// done ends an exchange. Close waits for the last one.
func (t *Target) done(own *private.Own) {
	if own != nil {
		own.Done()
		return
	}
	t.over()
}

// over is what is counted at the end of each exchange, whosesoever it was.
func (t *Target) over() {
	if t.inFlight.Add(-1) == 0 && t.fleet.closing.Load() {
		t.fleet.nudge()
	}
}

// The connections of all: those that are shared, and those of one client each.

func (t *Target) configure(p plan) {
	t.way.Configure(p.TLS, p.KeepAlive) // first: it decides what is current
	t.keeps.Store(p.Termination != nil && !p.Termination.Deregistration)
	t.forgiven.Store(int64(p.Termination.forgives()))
	if p.checker != nil {
		t.checker.Store(&p.checker)
	}
	now := t.fleet.now()
	t.pool.Configure(p.pooling(), now)
	t.h2.Configure(p.sharing(), now)
	t.privates.Configure(private.Settings{Pool: p.pooling(), H2: p.sharing()}, now)
}

func (t *Target) leave() {
	t.conns.Leave()
	t.privates.Leave()
}

func (t *Target) end() (used int) { return t.conns.End() + t.privates.End() }

func (t *Target) expire(now time.Time) (idleTimeout time.Duration) {
	t.privates.Expire(now)
	return t.conns.Expire(now)
}
