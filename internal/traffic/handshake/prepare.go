package handshake

import (
	"context"
	"crypto/x509"
	"sync"
	"time"
)

// An Inquirer finds out what decides about a client and has to be asked for:
// whether an OCSP responder calls its certificate revoked, say. What it learns,
// Admit finds. An Inquirer is safe for concurrent use.
type Inquirer interface {
	// Lacks reports whether something has to be asked before Admit decides about a
	// client on that path, leaf first and anchor last. It never waits.
	Lacks(path []*x509.Certificate, now time.Time) bool
	// Inquire asks for what is lacking, and waits for it until ctx ends at the
	// latest. That nothing was learned, Admit finds as well.
	Inquire(ctx context.Context, path []*x509.Certificate, now time.Time)
}

// Prepare finds out what Admit will have to know about a client that presented
// these certificates. Nobody is asked about one that does not chain to an anchor,
// or that is refused whatever the answer. Nearly always all is known, and Prepare
// returns at once; else it waits until ctx ends at the latest. aside, unless nil,
// is called with what waits, and its error returned.
func (p *Policy) Prepare(ctx context.Context, presented []*x509.Certificate, now time.Time, aside func(wait func()) error) error {
	if len(p.Inquirers) == 0 || len(presented) == 0 || !p.verifies() || p.Store == nil {
		return nil
	}
	var lacking []func()
	for _, path := range p.Store.Paths(presented, p.options(now, nil)) {
		for _, i := range p.Inquirers {
			if i.Lacks(path, now) {
				lacking = append(lacking, func() { i.Inquire(ctx, path, now) })
			}
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	wait := func() {
		var asking sync.WaitGroup
		for _, inquire := range lacking[1:] {
			asking.Go(inquire)
		}
		lacking[0]()
		asking.Wait()
	}
	if aside == nil {
		wait()
		return nil
	}
	return aside(wait)
}

// prepare is Policy.Prepare in the course of a handshake, which computes for
// nobody while it waits: others have its turn. An answer that does not come leaves
// a quarter of the time that is left to finish without it.
func (h *session) prepare(presented []*x509.Certificate) error {
	p := h.profile.policy
	if len(p.Inquirers) == 0 {
		return nil // without a timer for each handshake
	}
	ctx, cancel := context.WithTimeout(h.ctx, time.Until(h.until)*3/4)
	defer cancel()
	err := p.Prepare(ctx, presented, h.server.now(), func(wait func()) error {
		err := h.line.aside(wait)
		h.deciding = h.newest() // what was found out may have come with a newer one
		return err
	})
	if err != nil {
		return err
	}
	return h.ctx.Err() // else a handshake that needs to read no more would go on
}

// aside has a handshake wait for others than the client, without its turn.
func (c *line) aside(wait func()) error {
	if c.turn == nil {
		wait()
		return nil
	}
	c.turn.Give()
	wait()
	return c.turn.again()
}
