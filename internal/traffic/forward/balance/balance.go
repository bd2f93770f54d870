package balance

import "fmt"

// A Member is what an algorithm may know of a target.
type Member interface {
	Address() string // host:port, the same for the same target after a reload
	InFlight() int64 // exchanges under way now; changes all the time
}

// An Algorithm prepares choices. It outlives the sets of targets it chooses
// from, so what is to survive a change of health (a position, a load) is kept
// here. Safe for concurrent use.
type Algorithm interface {
	// Over prepares choosing among members, which the caller does not change
	// afterwards. It runs when a target's health changes, not per request.
	Over(members []Member) Picker
}

// A Picker chooses among the members that it was made over. Safe for concurrent
// use, also beside the Pickers made before and after it.
type Picker interface {
	// Pick returns the index of a member that r.Tried does not hold, or -1 if
	// there is none. It runs for every request: no allocation, no waiting.
	Pick(r Request) int
}

// A Request is what a choice depends on besides the targets.
type Request struct {
	Tried Tried // members that failed this request already
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

// New returns the algorithm with the given name of the configuration; "" is
// round_robin.
func New(name string) (Algorithm, error) {
	switch name {
	case "", "round_robin":
		return &roundRobin{}, nil
	}
	return nil, fmt.Errorf("algorithm: %q, want round_robin", name)
}
