package shares

import (
	"slices"
	"time"
)

// How targets are judged that fail more than others (anomaly_mitigation).
const (
	judgements  = 10 * time.Second // between two
	fewestPeers = 3                // healthy targets, as AWS has it: of two nobody knows which one is odd
	fewestTries = 10               // exchanges of a target between two judgements: of fewer nothing is said
	mostPenalty = 4                // the share is halved so often at most: a sixteenth is left, to see when it gets better
)

// A tally is what a target has done since it was registered.
type tally struct{ exchanges, errors uint64 }

// mitigation is what part of its share a target has left.
func (t *Target) mitigation() float64 { return 1 / float64(int(1)<<t.penalty) }

// judge compares what targets have failed since the last time: one that fails
// more than twice as often as the others together, and by a tenth of its exchanges
// at least, loses half of its share; one that does not gets back half of what it
// lost. It returns those that have become anomalous, and those that are so no
// more.
func (g *Group) judge() (odd, normal []int, changed bool) {
	var all tally
	done := make([]tally, len(g.targets))
	peers := 0
	for i, t := range g.targets {
		now := tally{t.exchanges.Load(), t.errors.Load()}
		done[i] = tally{now.exchanges - t.before.exchanges, now.errors - t.before.errors}
		t.before = now
		if t.eligible() {
			peers++
			all.exchanges += done[i].exchanges
			all.errors += done[i].errors
		}
	}
	for i, t := range g.targets {
		was := t.penalty
		switch {
		case !g.rules.AnomalyMitigation || peers < fewestPeers || !t.eligible():
			t.penalty = 0
		case done[i].exchanges < fewestTries: // nothing is known
			if done[i].exchanges == 0 && was > 0 {
				t.penalty-- // it may have so small a share that it never fails again, nor succeeds
			}
		case anomalous(done[i], tally{all.exchanges - done[i].exchanges, all.errors - done[i].errors}):
			t.penalty = min(was+1, mostPenalty)
		default:
			t.penalty = max(was-1, 0)
		}
		switch {
		case was == 0 && t.penalty > 0:
			odd = append(odd, i)
		case was > 0 && t.penalty == 0:
			normal = append(normal, i)
		}
		changed = changed || was != t.penalty
	}
	return odd, normal, changed
}

// penalized reports whether some target has lost a part of its share.
func (g *Group) penalized() bool {
	return slices.ContainsFunc(g.targets, func(t *Target) bool { return t.penalty > 0 })
}

// anomalous reports whether one fails more than the others.
func anomalous(one, others tally) bool {
	if others.exchanges == 0 {
		return false
	}
	rate, usual := float64(one.errors)/float64(one.exchanges), float64(others.errors)/float64(others.exchanges)
	return rate > 2*usual && rate > usual+.1
}
