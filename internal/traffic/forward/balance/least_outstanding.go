package balance

import "math/rand/v2"

// leastOutstanding picks the member with the fewest exchanges under way, by
// weight: one with weight 2 may have twice as many.
//
// Among few it looks at all. Among many at two, drawn by weight: that takes the
// same time however many there are, and the load of the fullest stays within a
// small number of the average (Mitzenmacher, The Power of Two Choices in
// Randomized Load Balancing).
type leastOutstanding struct{}

// few is how many members are looked at one by one.
const few = 16

func (leastOutstanding) Over(s Set) Picker {
	return &comparison{shares: sharesOf(s), Set: s}
}

type comparison struct {
	shares
	Set
}

func (c *comparison) Pick(r Request) int {
	if c.n == 0 {
		return -1
	}
	if c.n > few {
		a := c.draw(&r.Tried)
		if a < 0 {
			return a
		}
		r.Tried.Add(a) // if there is no room for it, it may be drawn twice
		return c.lighter(a, c.draw(&r.Tried))
	}
	best, i := -1, rand.IntN(c.n) // so that those that are alike take turns
	for range c.n {
		if !r.Tried.Has(i) {
			best = c.lighter(i, best)
		}
		if i++; i == c.n {
			i = 0
		}
	}
	return best
}

// lighter returns a, or b if that is one and has less to do.
func (c *comparison) lighter(a, b int) int {
	if b < 0 || b == a {
		return a
	}
	loadA, loadB := float64(c.Members[a].InFlight()+1), float64(c.Members[b].InFlight()+1)
	if c.Weights != nil {
		loadA, loadB = loadA*c.Weights[b], loadB*c.Weights[a]
	}
	if loadB < loadA {
		return b
	}
	return a
}
