package ocsp

import (
	"maps"
	"time"
)

// A State is how things stand with a responder.
type State struct {
	Responder string            // its URL
	Outcomes  map[string]uint64 // of requests: good, revoked, unknown, failed, refused, invalid, skipped
	Answered  time.Time         // the last answer that counted; zero: none did yet
}

// States are those of all responders that were asked.
func (a *Asker) States() []State {
	a.mu.Lock()
	defer a.mu.Unlock()
	byName := map[string]*State{} // two URLs may differ only in what is not told
	var all []State
	for u, r := range a.responders {
		s := byName[name(u)]
		if s == nil {
			s = &State{Responder: name(u), Outcomes: map[string]uint64{}}
			byName[s.Responder] = s
		}
		for outcome, n := range r.outcomes {
			s.Outcomes[outcome] += n
		}
		if r.answered.After(s.Answered) {
			s.Answered = r.answered
		}
	}
	for s := range maps.Values(byName) {
		all = append(all, *s)
	}
	return all
}

// Known is how many answers are kept, and how often a decision found one, or none.
func (a *Asker) Known() (answers int, hits, misses uint64) {
	hits, misses = a.memory.Used()
	return a.memory.Len(), hits, misses
}
