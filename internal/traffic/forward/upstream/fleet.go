package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/resolve"
)

// A FleetConfig holds what a Fleet tells the rest of the program. The zero
// value tells nobody.
type FleetConfig struct {
	Logger *slog.Logger // changes of health, forced closes

	// OnHealth is called when a target turns healthy or unhealthy, after
	// Pick has come to know. reason is empty for a healthy target.
	OnHealth func(group, target string, healthy bool, reason string)

	// Resolve finds what is behind a name, and says when to ask again. nil: the
	// resolver of the system.
	Resolve func(ctx context.Context, name string) (found []resolve.Endpoint, next time.Duration, err error)

	// OnConnectError is called when a connection attempt failed.
	OnConnectError func(group, target string, err error)

	Now func() time.Time // nil: time.Now
}

// A Fleet owns the targets of all groups: their health checks, each with a
// goroutine, and their connections, with one goroutine for all, and one for each
// that is HTTP/2.
type Fleet struct {
	config FleetConfig
	now    func() time.Time

	working context.Context // health checks, the reaper
	halt    context.CancelFunc
	workers sync.WaitGroup

	dialing context.Context // connection attempts
	hangUp  context.CancelFunc
	talkers sync.WaitGroup // of HTTP/2: those who dial, and those who read

	wake    chan struct{} // something for the reaper or, once that has ended, for Close
	closing atomic.Bool

	mu       sync.Mutex
	rosters  map[string]*roster
	live     []*Target
	draining []*Target
}

// NewFleet returns a Fleet without targets. Close ends it.
func NewFleet(c FleetConfig) *Fleet {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnHealth == nil {
		c.OnHealth = func(string, string, bool, string) {}
	}
	if c.Resolve == nil {
		c.Resolve = resolve.System
	}
	if c.OnConnectError == nil {
		c.OnConnectError = func(string, string, error) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	f := &Fleet{config: c, now: c.Now, wake: make(chan struct{}, 1)}
	f.working, f.halt = context.WithCancel(context.Background())
	f.dialing, f.hangUp = context.WithCancel(context.Background())
	f.workers.Go(f.reap)
	return f
}

// Apply makes the targets those of groups and returns a Group for each, by name.
// If a group has a fault, all faults are returned and nothing has changed.
//
// A target whose group, address, protocol, PROXY header and health check are as before goes on
// as it is, with its health, connections and counters. One that is new is checked at
// once. One that is not in groups any more drains: it is picked no more, its
// idle connections are closed, those in use when they are released or when the
// deregistration delay, that of its last configuration, is over.
func (f *Fleet) Apply(groups []GroupConfig) (map[string]*Group, error) {
	var faults []error
	plans := make(map[string]plan, len(groups))
	for _, g := range groups {
		p, err := prepare(g)
		if _, twice := plans[g.Name]; twice {
			err = errors.Join(err, fmt.Errorf("target group %q: the name is there twice", g.Name))
		}
		faults = append(faults, err)
		plans[g.Name] = p
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}

	fresh := f.ask(plans)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing.Load() {
		return nil, errors.New("target groups: the fleet is closed")
	}
	now := f.now()
	applied := make(map[string]*Group, len(plans))
	rosters := make(map[string]*roster, len(plans))
	for name, p := range plans {
		r := f.rosters[name]
		if r == nil {
			r = &roster{name: name, now: f.now}
		}
		r.inherit(&p)
		f.follow(r, &p, fresh)
		f.adopt(r, p, now)
		rosters[name] = r
		applied[name] = newGroup(p, r)
	}
	for name, r := range f.rosters {
		if rosters[name] == nil {
			f.forsake(r)
			f.drain(r.remove(now), now)
		}
	}
	f.rosters = rosters
	f.gather()
	f.nudge()
	return applied, nil
}

// adopt makes the targets of r those of p. The caller holds f.mu.
func (f *Fleet) adopt(r *roster, p plan, now time.Time) {
	joined, left := r.change(p, now, func(m member) *Target { return f.newTarget(r, p, m, now) })
	f.drain(left, now)
	for _, t := range r.targets {
		t.delay = p.DeregistrationDelay
		t.configure(p)
	}
	for _, t := range joined {
		f.watch(t, p.checker)
	}
}

// gather lists the targets of all groups. The caller holds f.mu.
func (f *Fleet) gather() {
	f.live = nil
	for _, r := range f.rosters {
		f.live = append(f.live, r.targets...)
	}
}

// Close takes all targets out of service: health checks end, idle connections
// are closed, those in use when they are released or when ctx ends, which is
// then the error. Apply, Get, Dial and Stream fail afterwards.
func (f *Fleet) Close(ctx context.Context) error {
	f.mu.Lock()
	if f.closing.Swap(true) {
		f.mu.Unlock()
		return nil
	}
	now := f.now()
	for _, r := range f.rosters {
		f.forsake(r)
		f.drain(r.remove(now), now)
	}
	f.rosters, f.live = nil, nil
	f.mu.Unlock()

	f.halt()
	f.workers.Wait()

	all := f.draining // neither Apply nor the reaper changes it any more
	err := f.drained(ctx, all)
	f.hangUp()
	cut := 0
	for _, t := range all {
		cut += t.end()
		t.roster.forget(t, f.now())
	}
	f.talkers.Wait()
	if err != nil {
		return fmt.Errorf("target groups: closed %d connections that were still in use: %w", cut, err)
	}
	return nil
}

// drained waits until nothing is in flight on any of targets. The reaper, which
// reads wake too, must have ended.
func (f *Fleet) drained(ctx context.Context, targets []*Target) error {
	for {
		busy := slices.ContainsFunc(targets, func(t *Target) bool { return t.InFlight() > 0 })
		if !busy {
			return nil
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nudge wakes whoever reads wake.
func (f *Fleet) nudge() {
	select {
	case f.wake <- struct{}{}:
	default: // it is awake already
	}
}
