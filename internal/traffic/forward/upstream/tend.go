package upstream

import (
	"context"
	"slices"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/forward/upstream/private"
	"countersign.dev/internal/traffic/forward/upstream/reach"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// newTarget returns the target at address, nobody watching it yet.
func (f *Fleet) newTarget(r *roster, p plan, m member, now time.Time) *Target {
	var tracker *health.Tracker // nil: always healthy
	if p.checker != nil {
		tracker = health.NewTracker(p.check, now)
	}
	t := &Target{group: p.Name, address: m.address, mark: uint64(balance.KeyOfString(m.address)), protocol: p.Protocol, check: p.check,
		announces: p.Proxy, fleet: f, roster: r, share: shares.NewTarget(tracker, now), unwatch: func() {}}
	way := reach.Config{Address: m.address, OverTLS: p.TLS != nil, Now: f.now, Failed: t.failed}
	if p.Protocol == "tcp" || p.Protocol == "tls" { // no answer will tell
		way.Reached = func() { t.Report(shares.Reached) }
	}
	t.way = reach.New(way)
	t.pool = pool.New(pool.Config{Way: t.way, Done: t.over})
	t.h2 = h2pool.New(h2pool.Config{Way: t.way, Done: t.over, Dialing: f.dialing, Talkers: &f.talkers})
	t.privates = private.NewTarget(private.Config{Plan: p.Proxy, HTTP2: t.HTTP2(), Way: t.way, Done: t.over, Dialing: f.dialing, Talkers: &f.talkers})
	var other connections
	t.conns, other = t.pool, t.h2
	if t.HTTP2() {
		t.conns, other = other, t.conns
	}
	t.configure(p)
	other.End() // nothing gets in there by mistake
	return t
}

// failed counts a connection that is of no use.
func (t *Target) failed(err error) {
	t.connectErrors.Add(1)
	t.fleet.config.OnConnectError(t.group, t.address, err)
	t.Report(shares.Failed)
}

// watch begins to check t; a nil checker has nothing to ask. The caller holds f.mu.
func (f *Fleet) watch(t *Target, checker health.Checker) {
	if checker == nil {
		return
	}
	ctx, cancel := context.WithCancel(f.working)
	t.unwatch = cancel
	f.workers.Go(func() {
		health.Watch(ctx, checking{t}, t.check, t.address, func(r health.Result) { f.learn(t, r) })
	})
}

// checking asks as the configuration in force does: a certificate that was renewed
// is no other check.
type checking struct{ *Target }

func (c checking) Check(ctx context.Context, address string) health.Result {
	return (*c.checker.Load()).Check(ctx, address)
}

// learn takes the result of a check, and says so if it changes anything.
func (f *Fleet) learn(t *Target, r health.Result) {
	status, changed, before, after := t.roster.observe(t, r, f.now())
	if !changed {
		return
	}
	log := f.config.Logger.With("target_group", t.group)
	if healthy := status.State == health.Healthy; healthy {
		log.Info("target is healthy", "target", t.address)
	} else {
		log.Warn("target is unhealthy", "target", t.address, "reason", status.Reason)
	}
	if before != after {
		switch after {
		case shares.FromZone:
			log.Info("target group has a healthy target in this node's zone; others are not used")
		case shares.FromHealthy:
			if before == shares.FromZone {
				log.Warn("target group has no healthy target in this node's zone; those of other zones are used")
			} else {
				log.Info("target group has a healthy target")
			}
		case shares.FromAll:
			log.Warn("target group has no healthy target; it fails open: all of them are used")
		case shares.FromNothing:
			log.Error("target group has no healthy target; requests for it are refused")
		}
	}
	if t.forgiven.Load() >= 0 {
		f.nudge() // it may be time for connections to it, or to others of its group, to end
	}
	f.config.OnHealth(t.group, t.address, status.State == health.Healthy, status.Reason)
}

// drain begins to take targets out of service. The caller holds f.mu.
func (f *Fleet) drain(targets []*Target, now time.Time) {
	for _, t := range targets {
		t.unwatch()
		t.until = now.Add(t.delay)
		t.leave()
		f.draining = append(f.draining, t)
	}
}

// seldom is how often the reaper looks around when nothing is due.
const seldom = 10 * time.Second

// reap closes what has been idle or draining for too long, until the fleet stops.
func (f *Fleet) reap() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-f.working.Done():
			return
		case <-f.wake:
		case <-timer.C:
		}
		timer.Reset(f.sweep(f.now()))
	}
}

// sweep closes what is due at now and returns when to come again: at the end of
// the next deregistration delay or draining interval, often enough for no
// connection to be idle for more than an eighth longer than it may.
func (f *Fleet) sweep(now time.Time) time.Duration {
	const often = 10 * time.Millisecond
	next := f.terminate(now)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.live {
		next = min(next, max(often, t.expire(now)/8))
	}
	for _, r := range f.rosters {
		next = min(next, f.review(r, now))
	}
	f.draining = slices.DeleteFunc(f.draining, func(t *Target) bool {
		if left := t.until.Sub(now); left > 0 {
			next = min(next, left)
			return false
		}
		if t.stays() {
			return false // seldom is often enough
		}
		t.roster.forget(t, now)
		if n := t.end(); n > 0 {
			f.config.Logger.Warn("deregistration delay is over: connections in use were closed",
				"target_group", t.group, "target", t.address, "connections", n)
		}
		return true
	})
	return next
}
