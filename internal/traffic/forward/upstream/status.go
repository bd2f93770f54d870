package upstream

import (
	"maps"
	"slices"
	"strings"
	"time"

	"countersign.dev/internal/traffic/forward/health"
)

// A TargetStatus describes a target at one instant.
type TargetStatus struct {
	Address string
	health.Status
	Name         string    // by which the configuration has it, if that is not its address
	Weight       int       // of the configuration
	Zone         string    // of the configuration; "": none
	Share        float64   // what part of its share it gets, from 0 to 1: less while its share grows after it became healthy, or while it fails more than the others
	SlowStart    bool      // its share grows
	Anomalous    bool      // it fails more than the others (anomaly_mitigation)
	EjectedUntil time.Time // left out because it failed requests in a row (passive_health); zero: it is not

	ConnectionsEnd time.Time // because it is unhealthy, those in use are closed then; zero: they are not

	InFlight      int64  // exchanges under way, connection attempts included
	Idle          int    // connections that wait for the next exchange
	ConnectErrors uint64 // connection attempts that failed, since registration
	Ejections     uint64 // since registration
}

func (r *roster) targetStatus(now time.Time) []TargetStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]TargetStatus, 0, len(r.targets)+len(r.leaving))
	for _, t := range r.targets {
		all = append(all, t.describe(now))
	}
	for _, t := range r.leaving {
		if s := t.describe(now); s.InFlight > 0 {
			all = append(all, s)
		}
	}
	return all
}

// describe is for those who hold the roster's mu.
func (t *Target) describe(now time.Time) TargetStatus {
	has := t.roster.shares.Describe(t.share, now)
	s := TargetStatus{
		Address: t.address, Status: t.share.Status(), Name: t.name, Weight: t.share.Terms.Weight, Zone: t.share.Terms.Zone,
		Share: has.Share, SlowStart: has.SlowStart, Anomalous: has.Anomalous, EjectedUntil: has.EjectedUntil,
		InFlight: t.InFlight(), Idle: t.conns.Resting() + t.privates.Resting(),
		ConnectErrors: t.connectErrors.Load(), Ejections: has.Ejections,
	}
	if at := t.connectionsEnd(); at.After(now) {
		s.ConnectionsEnd = at
	}
	return s
}

// A GroupStatus describes a target group at one instant.
type GroupStatus struct {
	Name      string
	Algorithm string
	Waiting   int // requests that wait for a place at a target (max_connections)
	Names     []NameStatus
	Targets   []TargetStatus
}

// A NameStatus is what is known of a name behind which there are targets.
type NameStatus struct {
	Name    string
	Targets int    // known, from the last good answer
	Error   string // of the last question; "": it was answered
}

// Status describes the groups that are configured now, by name, with the targets
// that Group.Targets describes.
func (f *Fleet) Status() []GroupStatus {
	f.mu.Lock()
	rosters := slices.Collect(maps.Values(f.rosters))
	f.mu.Unlock()
	slices.SortFunc(rosters, func(a, b *roster) int { return strings.Compare(a.name, b.name) })
	all := make([]GroupStatus, len(rosters))
	for i, r := range rosters {
		all[i] = r.status(f.now())
	}
	return all
}

func (r *roster) status(now time.Time) GroupStatus {
	s := GroupStatus{Name: r.name, Waiting: int(r.line.waiting.Load()), Targets: r.targetStatus(now)}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Algorithm = r.plan.Algorithm
	for name, a := range r.names {
		known := NameStatus{Name: name, Targets: len(a.found)}
		if a.err != nil {
			known.Error = a.err.Error()
		}
		s.Names = append(s.Names, known)
	}
	slices.SortFunc(s.Names, func(a, b NameStatus) int { return strings.Compare(a.Name, b.Name) })
	return s
}
