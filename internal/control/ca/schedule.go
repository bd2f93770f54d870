package ca

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/wire/dn"
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
		if now := a.cfg.Now(); now.Sub(reminded) >= remindEvery {
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

// SignIfDue signs the lists anew if half of their time is over, or one is
// missing: there is as long again to repair what keeps it from happening. It
// returns no lists when none was due.
func (a *Authority) SignIfDue(ctx context.Context) (Lists, error) {
	lists, err := a.Lists()
	if err != nil {
		return Lists{}, err
	}
	last, err := a.ledger.List(ctx)
	if err != nil {
		return Lists{}, err
	}
	lifetime := cmp.Or(a.cfg.CRLLifetime, last.NextUpdate.Sub(last.At), DefaultCRLLifetime)
	now := a.cfg.Now()
	switch own := lists.Issuing; {
	case own == nil:
	case own.Number.Int64() >= last.Number:
		if now.Before(last.At.Add(lifetime / 2)) {
			return Lists{}, nil
		}
	case now.Before(own.ThisUpdate.Add(lifetime / 2)):
		// Another node has signed, or somebody was about to: is there anything new in it?
		if told, err := a.told(ctx, lists); told || err != nil {
			return Lists{}, err
		}
	}
	if now.Add(time.Minute).After(a.Issuing().NotAfter) && lists.Issuing != nil {
		return Lists{}, nil // foresee tells of it; there is nothing more to sign
	}
	return a.CRL(0)
}

// told reports whether every revocation on record is on a list of this directory.
func (a *Authority) told(ctx context.Context, lists Lists) (bool, error) {
	listed := map[string]bool{}
	for _, list := range append(slices.Clone(lists.Issuers), lists.Root) {
		if list == nil {
			continue
		}
		for _, e := range list.RevokedCertificateEntries {
			listed[dn.Serial(e.SerialNumber)] = true
		}
	}
	revoked, err := a.ledger.Revoked(ctx)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(revoked, func(c ledger.Certificate) bool { return !listed[c.Serial] }), nil
}

// foresee says what an operator has to do soon.
func (a *Authority) foresee() []string {
	var notes []string
	now := a.cfg.Now()
	if lists, err := a.Lists(); err == nil && lists.Root != nil && now.Add(30*day).After(lists.Root.NextUpdate) {
		notes = append(notes, "the root's revocation list ends on "+stamp(lists.Root.NextUpdate)+": bring the root's key, then run `countersign ca crl "+a.Dir()+" --root-key FILE`")
	}
	if end := a.Issuing().NotAfter; now.Add(cmp.Or(a.cfg.Lifetime, DefaultLifetime)).After(end) {
		notes = append(notes, "the issuing authority ends on "+stamp(end)+", before what it is about to issue would: bring the root's key, then run `countersign ca rollover "+a.Dir()+" --root-key FILE`")
	}
	return notes
}
