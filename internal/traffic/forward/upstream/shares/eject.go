package shares

import (
	"math"
	"time"
)

// An Ejection is what became of one.
type Ejection struct {
	Done   bool // the target is left out
	Spared bool // it is not: too many are already

	Ejected, Healthy int // before
}

// Eject leaves t out for a while, unless too many are out already. It does
// nothing if t is out, or nobody is to be.
func (g *Group) Eject(t *Target, now time.Time) (e Ejection) {
	passive := g.rules.Passive
	if !t.left.IsZero() || passive == nil || now.Before(t.ejectedUntil) {
		return e
	}
	t.failures.Store(0)
	for _, other := range g.targets {
		if other.eligible() {
			e.Healthy++
			if now.Before(other.ejectedUntil) {
				e.Ejected++
			}
		}
	}
	may := int(math.Ceil(float64(e.Healthy) * float64(passive.MaxEjected) / 100))
	if may = min(may, e.Healthy-1); e.Ejected >= may {
		e.Spared = true
		return e
	}
	t.ejectedUntil = now.Add(passive.Ejection)
	t.ejections++
	e.Done = true
	return e
}

// pardon lets targets back whose ejection is over, and returns those, and when
// the next one will be.
func (g *Group) pardon(now time.Time) (back []int, next time.Duration) {
	next = math.MaxInt64
	for i, t := range g.targets {
		switch {
		case t.ejectedUntil.IsZero():
		case now.Before(t.ejectedUntil):
			next = min(next, t.ejectedUntil.Sub(now))
		default:
			t.ejectedUntil = time.Time{}
			t.failures.Store(0)
			back = append(back, i)
		}
	}
	return back, next
}
