package points

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"countersign.dev/internal/control/source"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// Settings are those of a trust store.
type Settings struct {
	Spec source.Spec // of each of its lists, but for the URL; Reach is whom certificates may name
	Most int         // lists
	// Lists are those in force with the trust store that asks.
	Lists *revocation.Checker
	// Have are those of its lists that are in force with it, by URL.
	Have map[string]bool
}

// An Inquirer finds the lists that clients of one trust store need. It is a
// handshake.Inquirer.
type Inquirer struct {
	Settings
	store string
	book  *Book
	shelf *shelf
	told  atomic.Int32 // how often the log was, or might have been
}

// Inquirer returns one for a trust store.
func (b *Book) Inquirer(store string, s Settings) *Inquirer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &Inquirer{Settings: s, store: store, book: b, shelf: b.shelf(store)}
}

// Lacks reports whether a certificate of the path names a list that might be
// had, and no list speaks for it.
func (a *Inquirer) Lacks(path []*x509.Certificate, now time.Time) bool {
	lacks := false
	for i := range a.Lists.LookedUp(path) {
		cert, by := path[i], path[i+1]
		if len(cert.CRLDistributionPoints) == 0 {
			continue
		}
		open := a.open(cert, now)
		lacks = lacks || open && !a.Lists.Speaks(cert, by, now)
	}
	return lacks
}

// open reports whether it is worth asking for one of the lists that a
// certificate names, and notes that those that are known are needed.
func (a *Inquirer) open(cert *x509.Certificate, now time.Time) bool {
	known := *a.shelf.points.Load()
	open, seen := false, 0
	crl.EachPoint(cert, func(uri []byte) bool {
		switch p := known[string(uri)]; {
		case p == nil:
			open = open || len(known) < a.Most && a.Spec.Reach.Check(string(uri)) == nil
		default:
			if p.touch(now) {
				a.book.changed()
			}
			switch p.state.Load() {
			case pending:
				open = open || now.Before(p.asked.Add(patience))
			case held: // by a newer configuration, which Inquire leads to
				open = open || !a.Have[string(uri)]
			}
		}
		seen++
		return seen == mostPoints
	})
	if !open && a.told.Load() < mostWarned {
		a.tell(cert, known)
	}
	return open
}

// Inquire has the lists fetched that certificates of the path name, and waits for
// one of each.
func (a *Inquirer) Inquire(ctx context.Context, path []*x509.Certificate, now time.Time) {
	for i := range a.Lists.LookedUp(path) {
		if cert, by := path[i], path[i+1]; len(cert.CRLDistributionPoints) > 0 && !a.Lists.Speaks(cert, by, now) {
			a.ask(ctx, cert, by)
		}
	}
}

// ask tries one after the other of what a certificate names: they are different
// ways to the same list, or to lists one of which is enough.
func (a *Inquirer) ask(ctx context.Context, cert, by *x509.Certificate) {
	seen := 0
	crl.EachPoint(cert, func(uri []byte) bool {
		seen++
		url := string(uri)
		if a.Spec.Reach.Check(url) == nil {
			if p := a.book.add(a, url, by); p != nil && a.await(ctx, p) {
				return true
			}
		}
		return seen == mostPoints || ctx.Err() != nil
	})
}

// await waits until it is known what became of a point, and reports whether its
// list is in force.
func (a *Inquirer) await(ctx context.Context, p *point) bool {
	patient := time.NewTimer(p.asked.Add(patience).Sub(a.book.cfg.Now()))
	defer patient.Stop()
	select {
	case <-p.settled:
	case <-patient.C:
	case <-ctx.Done():
	}
	return p.state.Load() == held
}

// tell has the log say, once for each host, why nothing is asked for a certificate.
func (a *Inquirer) tell(cert *x509.Certificate, known map[string]*point) {
	crl.EachPoint(cert, func(uri []byte) bool {
		if known[string(uri)] == nil {
			a.told.Add(1)
			why := a.Spec.Reach.Check(string(uri))
			if why == nil {
				why = fmt.Errorf("there are %d already, and limits.crls of the trust store allows no more", len(known))
			}
			a.book.refused(a, string(uri), why)
		}
		return true // the first says enough
	})
}
