package shares

import (
	"cmp"
	"time"
)

// Terms are those of a single target.
type Terms struct {
	Weight int    // its share, compared with those of the others; 0: it gets no requests
	Zone   string // where it is; "": nowhere in particular
}

// Rules are those of a group.
type Rules struct {
	Passive           *PassiveHealth // with defaults; nil: failed requests are no reason to leave a target out
	AnomalyMitigation bool           // a target that fails more than the others gets less
	SlowStart         time.Duration  // how long the share of a target grows after it became healthy; 0: it has it at once
	Zone              string         // where this node is
	OwnZone           bool           // targets of other zones are used only if none of the node's own can be
	FailOpen          bool           // all unhealthy: use all of them
}

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

// WithDefaults returns p with what it leaves out.
func (p PassiveHealth) WithDefaults() PassiveHealth {
	p.Failures = cmp.Or(p.Failures, 5)
	p.Ejection = cmp.Or(p.Ejection, 30*time.Second)
	p.MaxEjected = cmp.Or(p.MaxEjected, 50)
	if p.Statuses == nil {
		p.Statuses = func(status int) bool { return status >= 502 && status <= 504 }
	}
	return p
}
