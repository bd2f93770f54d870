package publish

import (
	"errors"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/source"
)

// A Status is what is in force, and what came of the last attempt to replace it.
type Status struct {
	Draft  *Draft    // nil: nothing is in force yet. It must not be changed
	Number uint64    // of the snapshot
	Since  time.Time // when it came into force
	Last   Attempt
}

// An Attempt is one publication.
type Attempt struct {
	At      time.Time // when it began
	Took    time.Duration
	Because string
	// Faults are warnings, if the configuration came into force; else at least one
	// of them is the reason why not, or Err is.
	Faults config.Faults
	Err    error // nil: it is in force
}

// Status returns how things stand. It waits for nothing.
func (p *Publisher) Status() Status {
	if s := p.status.Load(); s != nil {
		return *s
	}
	return Status{}
}

// Sources are those of the configuration in force that are fetched.
func (p *Publisher) Sources() []source.State { return p.sources.States() }

// note keeps what came of an attempt. p.mu is held.
func (p *Publisher) note(began time.Time, because string, err error) {
	s := p.Status()
	s.Last = Attempt{At: began, Took: time.Since(began), Because: because, Err: err}
	if err == nil {
		s.Draft, s.Number, s.Since = p.inForce, p.number, time.Now()
		s.Last.Faults = p.inForce.warnings
	} else if faults, ok := errors.AsType[config.Faults](err); ok {
		s.Last.Faults = faults
	}
	p.status.Store(&s)
}
