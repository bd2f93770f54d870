package upstream

import (
	"time"

	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// rules are what p says about shares.
func (p *plan) rules() shares.Rules {
	return shares.Rules{Passive: p.Passive, AnomalyMitigation: p.AnomalyMitigation, SlowStart: p.SlowStart, Zone: p.Zone, OwnZone: p.OwnZone, FailOpen: p.FailOpen}
}

// Report says what became of an exchange with t: the status of its answer,
// shares.Failed or shares.Reached. Connections that could not be made are known
// without.
func (t *Target) Report(status int) {
	if failures := t.share.Report(status); failures > 0 {
		t.fleet.eject(t, failures)
	}
}

// eject leaves t out for a while, unless too many are out already.
func (f *Fleet) eject(t *Target, failures int) {
	r, now := t.roster, f.now()
	r.mu.Lock()
	e, passive := r.shares.Eject(t.share, now), r.plan.Passive
	if e.Done {
		r.build(now)
	}
	r.mu.Unlock()
	switch {
	case e.Spared:
		f.config.Logger.Warn("target fails, and is not ejected: too many are", "target_group", t.group, "target", t.address,
			"failures", failures, "ejected", e.Ejected, "healthy", e.Healthy, "max_ejected_percent", passive.MaxEjected)
	case e.Done:
		f.config.Logger.Warn("target is ejected", "target_group", t.group, "target", t.address, "failures", failures, "for", passive.Ejection.String())
		f.nudge()
	}
}

// review gives the targets of r what time brings, and returns when to come again.
// The caller holds f.mu.
func (f *Fleet) review(r *roster, now time.Time) time.Duration {
	r.mu.Lock()
	review := r.shares.Review(now)
	if review.Changed {
		r.build(now)
	}
	returned, odd, normal := r.at(review.Returned), r.at(review.Odd), r.at(review.Normal)
	r.mu.Unlock()

	log := f.config.Logger.With("target_group", r.name)
	for _, t := range returned {
		log.Info("target is no longer ejected", "target", t.address)
	}
	for _, t := range odd {
		log.Warn("target fails more than the others: its share is halved", "target", t.address)
	}
	for _, t := range normal {
		log.Info("target fails no more than the others", "target", t.address)
	}
	return review.Next
}
