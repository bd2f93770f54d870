package balance

import "sync/atomic"

// roundRobin takes the members in turn, all together: the turn is shared by
// all clients and goes on where it was when the set of members changes.
type roundRobin struct {
	turn atomic.Uint64
}

func (r *roundRobin) Over(members []Member) Picker {
	return &rotation{turn: &r.turn, n: len(members)}
}

type rotation struct {
	turn *atomic.Uint64
	n    int
}

func (r *rotation) Pick(request Request) int {
	if r.n == 0 {
		return -1
	}
	i := int((r.turn.Add(1) - 1) % uint64(r.n))
	for range r.n {
		if !request.Tried.Has(i) {
			return i
		}
		if i++; i == r.n {
			i = 0
		}
	}
	return -1
}
