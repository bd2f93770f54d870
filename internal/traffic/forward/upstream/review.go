package upstream

import "time"

// review gives the targets of r what time brings: the next part of a share, the
// end of an ejection, a judgement. It returns when to come again. The caller
// holds f.mu.
func (f *Fleet) review(r *roster, now time.Time) time.Duration {
	r.mu.Lock()
	back, next := r.pardon(now)
	step, rebuild := r.rising(now)
	if rebuild {
		next = min(next, step)
	}
	var odd, normal []*Target
	if r.plan.AnomalyMitigation || r.penalized() {
		if wait := judgements - now.Sub(r.judged); wait > 0 {
			next = min(next, wait)
		} else {
			var changed bool
			r.judged, next = now, min(next, judgements)
			odd, normal, changed = r.judge()
			rebuild = rebuild || changed
		}
	}
	if rebuild || len(back) > 0 {
		r.build(now)
	}
	r.mu.Unlock()

	log := f.config.Logger.With("target_group", r.name)
	for _, t := range back {
		log.Info("target is no longer ejected", "target", t.address)
	}
	for _, t := range odd {
		log.Warn("target fails more than the others: its share is halved", "target", t.address)
	}
	for _, t := range normal {
		log.Info("target fails no more than the others", "target", t.address)
	}
	return next
}

// penalized reports whether some target has lost a part of its share. The caller
// holds mu.
func (r *roster) penalized() bool {
	for _, t := range r.targets {
		if t.penalty > 0 {
			return true
		}
	}
	return false
}
