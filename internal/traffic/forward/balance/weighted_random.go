package balance

import "math/rand/v2"

// weightedRandom draws by weight.
type weightedRandom struct{}

func (weightedRandom) Over(s Set) Picker {
	return &lottery{sharesOf(s)}
}

type lottery struct{ shares }

// draws is how often one that was tried already is drawn again, before what
// comes next will do.
const draws = 8

func (l *lottery) Pick(r Request) int {
	if l.n == 0 {
		return -1
	}
	return l.draw(&r.Tried)
}

func (s *shares) draw(tried *Tried) int {
	i := 0
	for range draws {
		if i = s.at(rand.Uint64()); !tried.Has(i) {
			return i
		}
	}
	return s.untried(i, tried)
}
