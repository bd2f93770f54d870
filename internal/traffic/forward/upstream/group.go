package upstream

import (
	"fmt"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health"
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
	roster   *roster
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
// group that fails open. Else the denial is NoHealthyTarget.
func (g *Group) Pick(a Asker, not ...*Target) (*Target, *countersign.Denial) {
	ring := g.roster.ring.Load()
	var request balance.Request
	for _, t := range not {
		if i := ring.index(t); i >= 0 && !request.Tried.Add(i) {
			return nil, countersign.Deny(countersign.StageForward, countersign.NoHealthyTarget,
				"target group %q: %d targets were tried, more are not", g.name, balance.MaxTried)
		}
	}
	if i := ring.picker.Pick(request); i >= 0 {
		return ring.targets[i], nil
	}
	if len(ring.targets) > 0 {
		return nil, countersign.Deny(countersign.StageForward, countersign.NoHealthyTarget,
			"target group %q: all %d usable targets were tried", g.name, len(ring.targets))
	}
	return nil, ring.none
}

// Done says that the request for which Pick returned t is over at t, however
// it ended.
func (g *Group) Done(t *Target) {}

// HashedHeader returns the name of the field that the group's algorithm goes
// by, for Asker.Header; "": none.
func (g *Group) HashedHeader() string { return "" }

// Targets returns what is known of each target: those of the present
// configuration in its order, then removed ones that still have something in flight.
func (g *Group) Targets() []TargetStatus { return g.roster.targetStatus() }

// A TargetStatus describes a target at one instant.
type TargetStatus struct {
	Address string
	health.Status
	InFlight      int64  // exchanges under way, connection attempts included
	Idle          int    // connections that wait for the next exchange
	ConnectErrors uint64 // connection attempts that failed, since registration
}

// A ring is the set of targets that may be picked at present.
type ring struct {
	targets []*Target
	picker  balance.Picker
	source  source
	none    *countersign.Denial // if there are no targets
}

func (r *ring) index(t *Target) int {
	for i, have := range r.targets {
		if have == t {
			return i
		}
	}
	return -1
}

// A source says where the targets of a ring were taken from.
type source string

const (
	fromHealthy source = "healthy"
	fromInitial source = "initial"
	fromAll     source = "all"
	fromNothing source = "none"
)

// newRing chooses which of targets may be picked.
func newRing(group string, targets []*Target, failOpen bool, algorithm balance.Algorithm) *ring {
	usable, from := inState(targets, health.Healthy), fromHealthy
	if len(usable) == 0 {
		usable, from = inState(targets, health.Initial), fromInitial
	}
	if len(usable) == 0 && failOpen {
		usable, from = targets, fromAll
	}
	why := fmt.Sprintf("none of its %d targets is healthy, and fail_open is off", len(targets))
	if len(targets) == 0 {
		why = "it has no targets"
	}
	return ringOf(group, usable, from, why, algorithm)
}

// ringOf returns the ring of usable; why says why there are none, if so.
func ringOf(group string, usable []*Target, from source, why string, algorithm balance.Algorithm) *ring {
	members := make([]balance.Member, len(usable))
	for i, t := range usable {
		members[i] = t
	}
	r := &ring{targets: usable, picker: algorithm.Over(balance.Set{Members: members}), source: from}
	if len(usable) == 0 {
		r.source = fromNothing
		r.none = countersign.Deny(countersign.StageForward, countersign.NoHealthyTarget, "target group %q: %s", group, why)
	}
	return r
}

func inState(targets []*Target, s health.State) (in []*Target) {
	for _, t := range targets {
		if t.status().State == s {
			in = append(in, t)
		}
	}
	return in
}

// drainingStatus is the status of a target that was removed at since.
func drainingStatus(since time.Time) health.Status {
	return health.Status{State: health.Draining, Code: health.DeregistrationInProgress,
		Reason: "Target deregistration is in progress", Since: since}
}
