package balance

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// hash keeps requests with one key at one member: consistently, so that one
// member more or less moves no more keys than it has to, and with bounded loads.
//
// Members stand on a circle of all keys, each at as many points as its weight
// says. A key is looked up at several places, and the member that comes soonest
// after one of them has it: so the parts are even although the points are few
// (Appleton, O'Reilly: Multi-probe consistent hashing). A member whose load is
// more than a quarter above its share passes further requests to the next on the
// circle (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded
// Loads).
type hash struct{}

const (
	points    = 32      // of a member, for each unit of its weight
	probes    = 9       // places at which a key is looked up: with these two no part is a fifth smaller or larger than its share
	most      = 1 << 18 // points of all members; where they would be more, each has half as many, or a quarter, and so on
	excess    = 1.25    // what part of its share a member may have
	allowance = 16      // exchanges that any member may have: with little to do, keeping together matters more
)

func (hash) Over(s Set) Picker {
	c := &circle{Set: s, total: float64(len(s.Members))}
	if s.Weights != nil {
		c.total = 0
		for _, w := range s.Weights {
			c.total += w
		}
	}
	var all []point
	each := points
	for each > 1 && c.total*float64(each) > most {
		each /= 2 // the others stay where they are
	}
	for i, m := range s.Members {
		base := KeyOfString(m.Address())
		for n := range max(1, int(math.Round(c.weight(i)))) * each {
			all = append(all, point{at: uint64(base.With(Key(n + 1))), member: int32(i)})
		}
	}
	slices.SortFunc(all, func(a, b point) int {
		if by := cmp.Compare(a.at, b.at); by != 0 {
			return by
		}
		return cmp.Compare(s.Members[a.member].Address(), s.Members[b.member].Address())
	})
	c.at, c.member, c.guide = make([]uint64, len(all)), make([]int32, len(all)), make([]int32, len(all))
	for i, p := range all {
		c.at[i], c.member[i] = p.at, p.member
	}
	at := 0
	for part := range c.guide {
		for at < len(all) && scale(all[at].at, len(all)) < part {
			at++
		}
		c.guide[part] = int32(at)
	}
	return c
}

type circle struct {
	Set
	total  float64  // weight of all
	at     []uint64 // the points, in order
	member []int32  // whose each of them is
	guide  []int32  // for each of as many equal parts, the first point in it or behind it
}

type point struct {
	at     uint64
	member int32
}

func (c *circle) weight(i int) float64 {
	if c.Weights == nil {
		return 1
	}
	return c.Weights[i]
}

func (c *circle) Pick(r Request) int {
	if len(c.at) == 0 {
		return -1
	}
	key := r.Key
	if key == 0 {
		key = Key(rand.Uint64())
	}
	best := c.after(spread(uint64(key)))
	least := c.at[best] - spread(uint64(key))
	for n := uint64(1); n < probes; n++ {
		probe := spread(uint64(key) + n*golden)
		if i := c.after(probe); c.at[i]-probe < least {
			best, least = i, c.at[i]-probe
		}
	}
	return c.withRoom(best, &r.Tried)
}

// withRoom returns the member at point i, or the next one that was not tried and
// has room; if none has, the next that was not tried.
func (c *circle) withRoom(i int, tried *Tried) int {
	fallback, all := -1, int64(-1)
	for range c.at {
		m := int(c.member[i])
		if !tried.Has(m) {
			load := c.Members[m].InFlight()
			if load < allowance {
				return m
			}
			if all < 0 {
				all = c.inFlight()
			}
			if float64(load) < excess*float64(all+1)*c.weight(m)/c.total {
				return m
			}
			if fallback < 0 {
				fallback = m
			}
		}
		if i++; i == len(c.at) {
			i = 0
		}
	}
	return fallback
}

func (c *circle) inFlight() (sum int64) {
	if c.InFlight != nil {
		return c.InFlight()
	}
	for _, m := range c.Members {
		sum += m.InFlight()
	}
	return sum
}

// after returns the first point at x or behind it.
func (c *circle) after(x uint64) int {
	i := int(c.guide[scale(x, len(c.guide))])
	for i < len(c.at) && c.at[i] < x {
		i++
	}
	if i == len(c.at) {
		return 0
	}
	return i
}
