package source

import (
	"context"
	"time"
)

// An Offer is what there is of a source.
type Offer struct {
	Spec  Spec
	Kept  *Copy // the last good one, nil if there is none
	Fresh *Copy // what the server has, nil if it is Kept or cannot be had
	// Fault says why the last fetch failed; nil: it did not.
	Fault error
	// Restored is whether Kept comes from the directory, and was not in force yet.
	Restored bool
}

// A Round is one publication: what is offered to it, by URL.
type Round map[string]Offer

// Await waits until each of the sources has been fetched for the first time,
// well or not.
func (k *Keeper) Await(ctx context.Context, urls []string) error {
	for _, url := range urls {
		k.mu.Lock()
		s := k.sources[url]
		k.mu.Unlock()
		if s == nil {
			continue
		}
		select {
		case <-s.first:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Offers returns what there is of sources that were prepared. Those that waiting
// names are still being fetched for the first time, and have to be waited for:
// what they have may be newer than what is kept.
func (k *Keeper) Offers(specs []Spec) (round Round, waiting []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	round = Round{}
	for _, spec := range specs {
		s := k.sources[spec.URL]
		if s == nil {
			continue
		}
		if s.outstanding() && !spec.Found() {
			waiting = append(waiting, spec.URL)
		}
		round[spec.URL] = Offer{Spec: spec, Kept: s.kept, Fresh: s.fresh, Fault: s.fault, Restored: !s.used}
	}
	return round, waiting
}

// outstanding reports whether the first fetch has not ended.
func (s *source) outstanding() bool { return s.attempted.IsZero() }

// A Verdict is what became of an offer.
type Verdict struct {
	Offer Offer
	Use   *Copy     // Kept or Fresh of the offer, which is in force now
	Until time.Time // before which it should be fetched again; zero: at any time
	// Refused says why Fresh is not in force.
	Refused error
}

// Settle says what came into force, by URL. What was fresh and is good is kept
// from now on, on disk as well; sources that neither that configuration nor the
// last Prepare has are forgotten.
func (k *Keeper) Settle(verdicts map[string]Verdict) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for url, s := range k.sources {
		v, ok := verdicts[url]
		if !ok && s.wanted {
			continue // by a configuration that is not in force yet
		}
		if !ok {
			delete(k.sources, url)
			k.retired = append(k.retired, s.kept, s.fresh)
			continue
		}
		s.used, s.until = true, v.Until
		if v.Use != nil && v.Use != s.kept {
			k.retired = append(k.retired, s.kept)
			s.kept = v.Use
			s.checked = v.Use.Fetched
			k.store(s)
		}
		s.idle = v.Use == nil
		switch {
		case s.idle && s.fresh == nil && v.Refused != nil:
			s.refused = v.Refused // what is kept is of no use
		case s.fresh == s.kept || s.fresh == nil:
			s.fresh, s.refused = nil, nil
		case v.Refused != nil:
			k.refuse(s, v.Offer.Fresh, v.Refused)
		}
		if s.fetching || !s.due.IsZero() { // else somebody is in a hurry
			k.plan(s)
		}
		k.report(s)
	}
	k.nudge()
}

// refuse notes why fresh is of no use, unless there is something newer already.
func (k *Keeper) refuse(s *source, fresh *Copy, why error) {
	if fresh == nil || s.fresh != fresh {
		return
	}
	if s.refused == nil {
		s.failures++
		s.row++
	}
	s.refused = why
}

// store writes the last good copy to the directory.
func (k *Keeper) store(s *source) {
	if k.dir == "" || k.cfg.Fleeting {
		return
	}
	if err := s.kept.keep(pathOf(k.dir, s.spec.Spec)); err != nil {
		k.cfg.Logger.Error("what is in force cannot be kept for a start without network", "source", s.spec.Name(), "error", err)
	}
}
