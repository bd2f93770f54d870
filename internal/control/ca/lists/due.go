package lists

import (
	"context"
	"slices"
	"time"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/wire/dn"
)

// SignIfDue signs the lists anew if half of their time is over, or one is
// missing: there is as long again to repair what keeps it from happening. It
// returns no lists when none was due.
func (p *Publisher) SignIfDue(ctx context.Context) (Published, error) {
	lists, err := p.Read()
	if err != nil {
		return Published{}, err
	}
	last, err := p.dir.Ledger().List(ctx)
	if err != nil {
		return Published{}, err
	}
	now := p.dir.Now()
	switch own := lists.Issuing; {
	case own == nil:
	case own.Number.Int64() >= last.Number:
		if now.Before(last.At.Add(p.half(last.NextUpdate.Sub(last.At)))) {
			return Published{}, nil
		}
	case now.Before(own.ThisUpdate.Add(p.half(own.NextUpdate.Sub(own.ThisUpdate)))):
		// Another node has signed, or somebody was about to: is there anything new in it?
		if told, err := p.told(ctx, lists); told || err != nil {
			return Published{}, err
		}
	}
	if now.Add(time.Minute).After(p.dir.Issuing().NotAfter) && lists.Issuing != nil {
		return Published{}, nil // foresee tells of it; there is nothing more to sign
	}
	return p.Sign(0)
}

// half is half of what a list lasts, or of what lists are to last from now on if
// that is less. A list may last for less than that: it was signed by hand, or
// before the configuration was changed.
func (p *Publisher) half(lasts time.Duration) time.Duration {
	if p.cfg.Lifetime > 0 {
		lasts = min(lasts, p.cfg.Lifetime)
	}
	return lasts / 2
}

// told reports whether every revocation on record is on a list of this directory.
func (p *Publisher) told(ctx context.Context, lists Published) (bool, error) {
	listed := map[string]bool{}
	for _, list := range append(slices.Clone(lists.Issuers), lists.Root) {
		if list == nil {
			continue
		}
		for _, e := range list.RevokedCertificateEntries {
			listed[dn.Serial(e.SerialNumber)] = true
		}
	}
	revoked, err := p.dir.Ledger().Revoked(ctx)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(revoked, func(c ledger.Certificate) bool { return !listed[c.Serial] }), nil
}
