package balance

import "sync/atomic"

// roundRobin takes the members in turn, all together: the turn is shared by
// all clients and goes on where it was when the set of members changes.
type roundRobin struct {
	turn atomic.Uint64
}

func (r *roundRobin) Over(s Set) Picker {
	return &rotation{turn: &r.turn, shares: sharesOf(s)}
}

type rotation struct {
	turn *atomic.Uint64
	shares
}

// golden is 2^64 divided by the golden ratio. Its multiples fall into a part of
// the numbers of 64 bits as evenly as multiples can: into one that is a tenth of
// them, every tenth time or nearly so, however long one counts (Knuth, The Art
// of Computer Programming, volume 3, section 6.4, theorem S). That makes turns
// by weight smooth, without a lock or a list of turns.
const golden = 0x9e3779b97f4a7c15

func (r *rotation) Pick(request Request) int {
	if r.n == 0 {
		return -1
	}
	turn := r.turn.Add(1) - 1
	if r.ends == nil {
		return r.untried(int(turn%uint64(r.n)), &request.Tried)
	}
	return r.untried(r.at(turn*golden), &request.Tried)
}
