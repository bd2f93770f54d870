package shares

import "time"

// A Review is what time has brought; targets are indexes of those of Apply.
type Review struct {
	Next     time.Duration // until there is something to review again
	Changed  bool          // Choose or Weight says another thing than before
	Returned []int         // those whose ejection is over
	Odd      []int         // those whose share is less from now on, since they fail more than the others
	Normal   []int         // those that do so no more
}

// Review gives the targets what time brings: the next part of a share, the end of
// an ejection, a judgement.
func (g *Group) Review(now time.Time) (r Review) {
	r.Returned, r.Next = g.pardon(now)
	step, rising := g.rising(now)
	if rising {
		r.Next = min(r.Next, step)
	}
	var judged bool
	if g.rules.AnomalyMitigation || g.penalized() {
		if wait := judgements - now.Sub(g.judged); wait > 0 {
			r.Next = min(r.Next, wait)
		} else {
			g.judged, r.Next = now, min(r.Next, judgements)
			r.Odd, r.Normal, judged = g.judge()
		}
	}
	r.Changed = rising || judged || len(r.Returned) > 0
	return r
}
