package upstream

import (
	"countersign.dev"
	"countersign.dev/internal/traffic/forward/balance"
)

// A Group is a target group as one configuration describes it. It may be used
// for as long as somebody holds it: once a later configuration has changed the
// targets of the group, it picks from the new ones; once the group has been
// removed, from the last ones, until their deregistration delay is over.
type Group struct {
	name     string
	protocol string
	attempts int
	private  bool
	hashOn   hashOn
	limit    int64 // requests at a target; 0: any number
	counts   bool  // what is under way at a target and at all of them
	queue    QueueConfig
	keeps    *Stickiness // clients at targets; nil: it does not
	roster   *roster
}

func newGroup(p plan, r *roster) *Group {
	return &Group{
		name: p.Name, protocol: p.Protocol, attempts: p.Attempts, private: p.Proxy.Version != 0,
		hashOn: p.hashOn, limit: int64(p.MaxConnections), counts: p.MaxConnections > 0 || p.Algorithm == "hash",
		queue: p.Queue, keeps: p.Stickiness, roster: r,
	}
}

// Name returns the group's name in the configuration.
func (g *Group) Name() string { return g.name }

// Protocol returns what the targets speak: http, h2, grpc or tcp.
func (g *Group) Protocol() string { return g.protocol }

// Private reports whether the targets are told of the client by a PROXY header,
// so that each client needs a Private.
func (g *Group) Private() bool { return g.private }

// Attempts returns how many targets may be tried for one request, at least 1.
func (g *Group) Attempts() int { return g.attempts }

// Pick returns the target to serve next, for a, by the group's algorithm, never
// one of not: those that failed this request already, balance.MaxTried at most.
// Done is called once for each target that Pick returned.
//
// The choice is among the healthy targets. If there are none, among those whose
// first check has not ended; if there are none either, among all of them on a
// group that fails open. Else the denial is NoHealthyTarget. With MaxConnections,
// Pick waits for a free place for as long as Queue says, and the denial may be
// TargetsBusy.
func (g *Group) Pick(a Asker, not ...*Target) (*Target, *countersign.Denial) {
	if g.limit > 0 {
		t, denial := g.await(&a, not)
		if t != nil {
			g.remember(&a, t)
		}
		return t, denial
	}
	ring := g.roster.ring.Load()
	request, ok := g.request(ring, &a, not)
	if !ok {
		return nil, countersign.Deny(countersign.StageForward, countersign.NoHealthyTarget,
			"target group %q: %d targets were tried, more are not", g.name, balance.MaxTried)
	}
	if i := g.pick(ring, &a, request); i >= 0 {
		t := ring.targets[i]
		if g.counts {
			t.take(0)
		}
		g.remember(&a, t)
		return t, nil
	}
	if len(ring.targets) > 0 {
		return nil, g.allTried(ring)
	}
	return nil, ring.none
}

// request is what the algorithm is asked; false: more targets were tried than it
// can be told of.
func (g *Group) request(ring *ring, a *Asker, not []*Target) (r balance.Request, ok bool) {
	for _, t := range not {
		if i := ring.index(t); i >= 0 && !r.Tried.Add(i) {
			return r, false
		}
	}
	r.Key = g.hashOn.key(a)
	return r, true
}

// pick returns where a is at home, if it is anywhere, or whom the algorithm picks.
func (g *Group) pick(ring *ring, a *Asker, r balance.Request) int {
	if g.keeps != nil && !a.full {
		if i := ring.marked(g.home(a)); i >= 0 && !r.Tried.Has(i) {
			return i
		}
	}
	return ring.picker.Pick(r)
}

func (g *Group) allTried(ring *ring) *countersign.Denial {
	return countersign.Deny(countersign.StageForward, countersign.NoHealthyTarget,
		"target group %q: all %d usable targets were tried", g.name, len(ring.targets))
}

// Done says that the request for which Pick returned t is over at t, however
// it ended.
func (g *Group) Done(t *Target) {
	if g.counts {
		t.give()
	}
}

// HashedHeader returns the name of the field that the group's algorithm goes
// by, for Asker.Header; "": none.
func (g *Group) HashedHeader() string { return g.hashOn.header }

// Personal reports whether it makes a difference for whom a target is picked.
func (g *Group) Personal() bool { return g.hashOn.by != 0 || g.keeps != nil }

// Waits reports whether Pick may wait, so that Asker.Gone is of use.
func (g *Group) Waits() bool { return g.limit > 0 }

// Targets returns what is known of each target: those of the present
// configuration in its order, then removed ones that still have something in flight.
func (g *Group) Targets() []TargetStatus { return g.roster.targetStatus(g.roster.now()) }
