package upstream

import (
	"math"
	"time"

	"countersign.dev/internal/traffic/forward/health"
)

// PassiveHealth has targets that fail requests left out for a while, beside what
// their health checks say.
type PassiveHealth struct {
	Failures   int           // in a row, after which a target is ejected; 0: 5
	Ejection   time.Duration // for how long; 0: 30s
	MaxEjected int           // of the healthy targets, in percent, at most; one of them always stays; 0: 50
	// Statuses reports whether an answer with that status is a failure; nil: 502
	// to 504.
	Statuses func(status int) bool
}

func (p PassiveHealth) withDefaults() PassiveHealth {
	or(&p.Failures, 5)
	or(&p.Ejection, 30*time.Second)
	or(&p.MaxEjected, 50)
	if p.Statuses == nil {
		p.Statuses = func(status int) bool { return status >= 502 && status <= 504 }
	}
	return p
}

// What to report of an exchange without a status.
const (
	Failed  = 0 // t did not answer, or not as the protocol has it
	Reached = 1 // t was connected, and more cannot be known
)

// Report says what became of an exchange with t: the status of its answer, or one
// of those above. Connections that could not be made are known without.
func (t *Target) Report(status int) {
	watch := t.watch.Load()
	if watch == nil {
		return
	}
	if watch.anomalies {
		t.exchanges.Add(1)
		if status == Failed || status >= 500 {
			t.errors.Add(1)
		}
	}
	passive := watch.passive
	if passive == nil {
		return
	}
	if status != Failed && !passive.Statuses(status) {
		if t.failures.Load() != 0 {
			t.failures.Store(0)
		}
		return
	}
	if n := t.failures.Add(1); int(n) >= passive.Failures {
		t.fleet.eject(t, int(n))
	}
}

// A lookout is what is learned from exchanges.
type lookout struct {
	passive   *PassiveHealth // nil: nobody is ejected
	anomalies bool
}

func (p *plan) lookout() *lookout {
	if p.Passive == nil && !p.AnomalyMitigation {
		return nil
	}
	return &lookout{passive: p.Passive, anomalies: p.AnomalyMitigation}
}

// eject leaves t out for a while, unless too many are out already.
func (f *Fleet) eject(t *Target, failures int) {
	r, now := t.roster, f.now()
	r.mu.Lock()
	if !t.leftAt.IsZero() || r.plan.Passive == nil || now.Before(t.ejectedUntil) {
		r.mu.Unlock()
		return
	}
	t.failures.Store(0)
	healthy, out := 0, 0
	for _, other := range r.targets {
		if other.wanted() && other.status().State == health.Healthy {
			healthy++
			if now.Before(other.ejectedUntil) {
				out++
			}
		}
	}
	passive := *r.plan.Passive
	may := int(math.Ceil(float64(healthy) * float64(passive.MaxEjected) / 100))
	if may = min(may, healthy-1); out >= may {
		r.mu.Unlock()
		f.config.Logger.Warn("target fails, and is not ejected: too many are", "target_group", t.group, "target", t.address,
			"failures", failures, "ejected", out, "healthy", healthy, "max_ejected_percent", passive.MaxEjected)
		return
	}
	t.ejectedUntil = now.Add(passive.Ejection)
	t.ejections.Add(1)
	r.build(now)
	r.mu.Unlock()
	f.config.Logger.Warn("target is ejected", "target_group", t.group, "target", t.address, "failures", failures, "for", passive.Ejection.String())
	f.nudge()
}

// pardon lets targets back whose ejection is over, and returns those, and when
// the next one will be. The caller holds mu.
func (r *roster) pardon(now time.Time) (back []*Target, next time.Duration) {
	next = math.MaxInt64
	for _, t := range r.targets {
		switch {
		case t.ejectedUntil.IsZero():
		case now.Before(t.ejectedUntil):
			next = min(next, t.ejectedUntil.Sub(now))
		default:
			t.ejectedUntil = time.Time{}
			t.failures.Store(0)
			back = append(back, t)
		}
	}
	return back, next
}
