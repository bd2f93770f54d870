package shares

import (
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/health"
)

// A Target is what decides how much of the requests of its group one target is
// to have.
type Target struct {
	Terms Terms // of the configuration in force

	tracker    *health.Tracker // nil: always healthy
	registered time.Time
	left       time.Time // removed from the configuration; zero: not

	entered      bool      // it is in its group, or was
	founding     bool      // it came when the group had no targets: those begin together
	rampFrom     time.Time // when it began to get its share little by little; zero: it has it
	ejectedUntil time.Time // zero: it is not
	penalty      int       // how often its share is halved, because it fails more than the others
	before       tally     // at the last judgement
	ejections    uint64

	watch     atomic.Pointer[lookout] // nil: nothing is learned from exchanges
	failures  atomic.Int64            // in a row
	exchanges atomic.Uint64
	errors    atomic.Uint64 // of the exchanges
}

// NewTarget returns a Target that is registered now, for Group.Apply. Its health
// is tracker's; nil: it is always healthy.
func NewTarget(tracker *health.Tracker, now time.Time) *Target {
	return &Target{tracker: tracker, registered: now}
}

// Leave says that t is no longer configured.
func (t *Target) Leave(now time.Time) { t.left = now }

// Wanted reports whether t is to have requests at all.
func (t *Target) Wanted() bool { return t.Terms.Weight > 0 }

// Status is what is known of t's health.
func (t *Target) Status() health.Status {
	switch {
	case !t.left.IsZero():
		return health.Status{State: health.Draining, Code: health.DeregistrationInProgress,
			Reason: "Target deregistration is in progress", Since: t.left}
	case t.tracker == nil:
		return health.Status{State: health.Healthy, Code: health.HealthCheckDisabled, Reason: "Health checks are disabled", Since: t.registered}
	}
	return t.tracker.Status()
}

// eligible reports whether t is healthy, for requests that it is to have.
func (t *Target) eligible() bool { return t.Wanted() && t.Status().State == health.Healthy }

// What to report of an exchange without a status.
const (
	Failed  = 0 // the target did not answer, or not as the protocol has it
	Reached = 1 // it was connected, and more cannot be known
)

// A lookout is what is learned from exchanges.
type lookout struct {
	passive   *PassiveHealth // nil: nobody is ejected
	anomalies bool
}

func (r *Rules) lookout() *lookout {
	if r.Passive == nil && !r.AnomalyMitigation {
		return nil
	}
	return &lookout{passive: r.Passive, anomalies: r.AnomalyMitigation}
}

// Report says what became of an exchange with t: the status of its answer, or one
// of those above. It returns how many have failed in a row, if that is a reason
// for Group.Eject, or else 0. It takes no lock.
func (t *Target) Report(status int) (failures int) {
	watch := t.watch.Load()
	if watch == nil {
		return 0
	}
	if watch.anomalies {
		t.exchanges.Add(1)
		if status == Failed || status >= 500 {
			t.errors.Add(1)
		}
	}
	passive := watch.passive
	if passive == nil {
		return 0
	}
	if status != Failed && !passive.Statuses(status) {
		if t.failures.Load() != 0 {
			t.failures.Store(0)
		}
		return 0
	}
	if n := t.failures.Add(1); int(n) >= passive.Failures {
		return int(n)
	}
	return 0
}
