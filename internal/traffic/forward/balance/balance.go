package balance

import (
	"fmt"
	"strings"
)

// A Member is what an algorithm may know of a target.
type Member interface {
	Address() string // host:port, the same for the same target after a reload
	InFlight() int64 // exchanges under way now; changes all the time
}

// A Set is what there is to choose from. Nobody changes it afterwards.
type Set struct {
	Members []Member
	// Weights are the shares of Members, one each, more than 0. nil: all alike.
	Weights []float64
	// InFlight counts the exchanges of all Members together. nil: they are summed
	// up for each choice that needs it.
	InFlight func() int64
}

// An Algorithm prepares choices. It outlives the sets of targets it chooses
// from, so what is to survive a change of health (a position, a load) is kept
// here. Safe for concurrent use.
type Algorithm interface {
	// Over prepares choosing from s. It runs when a target's health or share
	// changes, not per request.
	Over(s Set) Picker
}

// A Picker chooses among the members that it was made over. Safe for concurrent
// use, also beside the Pickers made before and after it.
type Picker interface {
	// Pick returns the index of a member that r.Tried does not hold, or -1 if
	// there is none. It runs for every request: no allocation, no waiting, and
	// time that hardly grows with the number of members.
	Pick(r Request) int
}

// A Request is what a choice depends on besides the targets.
type Request struct {
	Tried Tried // members that failed this request already
	Key   Key   // what hash goes by; 0: anything
}

// MaxTried is how many members a Tried holds: one less than the attempts that a
// configuration may ask for, few enough to be passed by value.
const MaxTried = 9

// Tried is a small set of indexes of members. The zero value is empty.
type Tried struct {
	n  uint8
	at [MaxTried]int32
}

// Add puts i into the set and reports whether it is in there now: false means
// that there was no room.
func (t *Tried) Add(i int) bool {
	if t.Has(i) {
		return true
	}
	if int(t.n) == len(t.at) {
		return false
	}
	t.at[t.n] = int32(i)
	t.n++
	return true
}

// Has reports whether i is in the set.
func (t *Tried) Has(i int) bool {
	for _, at := range t.at[:t.n] {
		if int(at) == i {
			return true
		}
	}
	return false
}

// Names are those of the algorithms in the configuration; the first is the default.
var Names = [...]string{"round_robin", "least_outstanding_requests", "weighted_random", "hash"}

// New returns the algorithm with the given name of the configuration; "" is
// round_robin.
func New(name string) (Algorithm, error) {
	switch name {
	case "", "round_robin":
		return &roundRobin{}, nil
	case "least_outstanding_requests":
		return leastOutstanding{}, nil
	case "weighted_random":
		return weightedRandom{}, nil
	case "hash":
		return hash{}, nil
	}
	return nil, fmt.Errorf("algorithm: %q, want %s", name, strings.Join(Names[:], ", "))
}
