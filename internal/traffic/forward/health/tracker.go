package health

import "time"

// A State is a TargetHealthStateEnum of the AWS API.
type State string

const (
	Initial   State = "initial"   // registered, no check has ended yet
	Healthy   State = "healthy"   //
	Unhealthy State = "unhealthy" //
	Draining  State = "draining"  // deregistered, its connections may finish
)

// A Status is what is known of one target. The zero value knows nothing.
type Status struct {
	State  State
	Code   Code   // why, if there is more to say than "healthy"
	Reason string // the same in words, for the operator
	Since  time.Time
}

// A Tracker turns the results of checks into a state.
//
// The first check decides alone: until one has ended the target is initial.
// A target that was never healthy becomes so by one good check, as on AWS
// ("must pass one health check to be considered healthy" after registration),
// so that a target which starts after the gateway is used as soon as it can be.
// From then on it takes so many results in a row as the thresholds say.
type Tracker struct {
	healthy, unhealthy int
	status             Status
	proven             bool // has been healthy
	streak             int  // results in a row that contradict the state
}

// NewTracker returns the tracker of a target registered now.
func NewTracker(c Config, now time.Time) *Tracker {
	c = c.WithDefaults()
	return &Tracker{healthy: c.Healthy, unhealthy: c.Unhealthy,
		status: Status{State: Initial, Code: InitialHealthChecking, Reason: "Initial health checks in progress", Since: now}}
}

// Status returns the present status.
func (t *Tracker) Status() Status { return t.status }

// Observe takes the result of the next check and reports whether the state
// changed. The reason of an unhealthy target is always that of its last bad check.
func (t *Tracker) Observe(r Result, now time.Time) (changed bool) {
	s := &t.status
	if r.OK == (s.State == Healthy) && s.State != Initial {
		t.streak = 0
		if !r.OK {
			s.Code, s.Reason = r.Code, r.Reason
		}
		return false
	}
	t.streak++
	need := t.unhealthy
	switch {
	case s.State == Initial, r.OK && !t.proven:
		need = 1
	case r.OK:
		need = t.healthy
	}
	if t.streak < need {
		return false
	}
	t.streak = 0
	if r.OK {
		*s = Status{State: Healthy, Since: now}
		t.proven = true
	} else {
		*s = Status{State: Unhealthy, Code: r.Code, Reason: r.Reason, Since: now}
	}
	return true
}
