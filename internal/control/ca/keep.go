package ca

import (
	"cmp"
	"context"
	"log/slog"
	"time"
)

const (
	// lookEvery is how often Keep looks at the clock and at what others have done.
	lookEvery = time.Minute
	// remindEvery is how often it says what an operator has to do.
	remindEvery = day
)

// Keep has the lists signed anew in good time until ctx ends. What goes wrong is
// logged, then tried again a minute later.
func (a *Authority) Keep(ctx context.Context, logger *slog.Logger) {
	var reminded time.Time
	for {
		signed, err := a.SignIfDue(ctx)
		switch {
		case err != nil:
			logger.Error("a revocation list was not signed; it is tried again in a minute", "authority", a.Dir(), "error", err)
		case signed.Issuing != nil:
			logger.Info("revocation lists signed", "authority", a.Dir(), "number", signed.Issuing.Number, "next_update", signed.Issuing.NextUpdate)
		}
		if now := a.dir.Now(); now.Sub(reminded) >= remindEvery {
			reminded = now
			for _, note := range a.foresee() {
				logger.Warn(note, "authority", a.Dir())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
	}
}

// foresee says what an operator has to do soon.
func (a *Authority) foresee() []string {
	var notes []string
	now := a.dir.Now()
	if lists, err := a.Lists(); err == nil && lists.Root != nil && now.Add(30*day).After(lists.Root.NextUpdate) {
		notes = append(notes, "the root's revocation list ends on "+stamp(lists.Root.NextUpdate)+": bring the root's key, then run `countersign ca crl "+a.Dir()+" --root-key FILE`")
	}
	if end := a.Issuing().NotAfter; now.Add(cmp.Or(a.lifetime, DefaultLifetime)).After(end) {
		notes = append(notes, "the issuing authority ends on "+stamp(end)+", before what it is about to issue would: bring the root's key, then run `countersign ca rollover "+a.Dir()+" --root-key FILE`")
	}
	return notes
}
