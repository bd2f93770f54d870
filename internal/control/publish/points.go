package publish

import (
	"fmt"
	"slices"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/source"
	"countersign.dev/internal/control/source/origin"
	"countersign.dev/internal/control/source/points"
	"countersign.dev/internal/control/source/reach"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// found are the lists that certificates name, by trust store.
type found map[string][]points.Point

// named says how the lists that certificates name are fetched for a trust store;
// false: they are not.
func named(ts *config.TrustStore) (s points.Settings, path string, ok bool) {
	r := ts.Revocation
	if r == nil {
		return s, "", false
	}
	i := slices.IndexFunc(r.CRLs, config.Source.Points)
	if i < 0 {
		return s, "", false
	}
	return points.Settings{
		Spec: source.Spec{Refresh: r.Refresh, Spec: origin.Spec{
			CA: r.CRLs[i].CA, Timeout: r.CRLs[i].Timeout, Limit: ts.Limits.CRLSize, Reach: reach.New(r.Hosts)}},
		Most: ts.Limits.CRLs - (len(r.CRLs) - 1),
	}, fmt.Sprintf(".revocation.crls[%d]", i), true
}

// foundBy returns the lists that a book knows, as far as the configuration still
// lets them be asked for.
func foundBy(book *points.Book, cfg *config.Config) found {
	all := found{}
	for i := range cfg.TrustStores {
		ts := &cfg.TrustStores[i]
		settings, _, ok := named(ts)
		if !ok {
			continue
		}
		all[ts.Name] = []points.Point{}
		for _, p := range book.Of(ts.Name) {
			if settings.Spec.Reach.Check(p.URL) == nil && len(all[ts.Name]) < settings.Most {
				all[ts.Name] = append(all[ts.Name], p)
			}
		}
	}
	return all
}

// remembered are the lists that a node with this configuration knows.
func remembered(cfg *config.Config) found {
	book := points.New(points.Config{})
	book.Load(cfg.Node.DataDir, true)
	return foundBy(book, cfg)
}

// sources are those of a configuration with the lists that were found. A URL that
// is configured as well is fetched as it is configured.
func (f found) sources(cfg *config.Config) []source.Spec {
	specs := Fetched(cfg)
	for i := range cfg.TrustStores {
		ts := &cfg.TrustStores[i]
		settings, _, _ := named(ts)
		for _, p := range f[ts.Name] {
			i := slices.IndexFunc(specs, func(have source.Spec) bool { return have.URL == p.URL })
			if i < 0 {
				spec := settings.Spec
				spec.URL = p.URL
				specs = append(specs, spec)
				continue
			}
			specs[i].Refresh = min(specs[i].Refresh, settings.Spec.Refresh)
			specs[i].Limit = max(specs[i].Limit, settings.Spec.Limit)
			if specs[i].Reach != nil {
				specs[i].Reach = specs[i].Reach.With(settings.Spec.Reach)
			}
		}
	}
	return specs
}

// foundLists adds the lists that certificates name, and returns how many revoked
// certificates they have.
func (c *compiler) foundLists(ts *config.TrustStore, path string, out *revocation.Config) (entries int) {
	settings, at, ok := named(ts)
	if !ok {
		return 0
	}
	path += at
	c.authorities(path, config.Source{CA: settings.Spec.CA})
	out.Vouched = map[*crl.List]bool{}
	for _, p := range c.options.found[ts.Name] {
		if c.options.use[p.URL] == nil {
			continue
		}
		s := config.Source{URL: p.URL}
		for _, l := range c.lists(ts, path, s) {
			if !signedByOneOf(l, p) {
				c.fault(path, fmt.Sprintf("%s, which no authority signed whose certificates name it", l), "the list of such an authority", "")
				continue
			}
			c.replaceBefore(s, l.NextUpdate)
			if slices.ContainsFunc(out.Lists, func(have *crl.List) bool { return have.Digest() == l.Digest() }) {
				continue // by another way
			}
			c.expires("crl", ts.Name, name(s), l.NextUpdate)
			entries += l.Len()
			out.Lists = append(out.Lists, l)
			out.Vouched[l] = true
		}
	}
	return entries
}

func signedByOneOf(l *crl.List, p points.Point) bool {
	for _, ca := range p.Issuers {
		if l.IssuedBy(ca) && revocation.MaySignLists(ca) {
			return true
		}
	}
	return false
}

// finder notes who finds the lists that clients of a trust store need, for the
// policies that refer to it.
func (c *compiler) finder(ts *config.TrustStore, store *verify.Store) {
	settings, _, ok := named(ts)
	if !ok || c.options.Points == nil {
		return
	}
	settings.Lists, settings.Have = store.Revocation(), map[string]bool{}
	for _, p := range c.options.found[ts.Name] {
		if c.options.use[p.URL] != nil {
			settings.Have[p.URL] = true
		}
	}
	if c.draft.finders == nil {
		c.draft.finders = map[string]*points.Inquirer{}
	}
	c.draft.finders[ts.Name] = c.options.Points.Inquirer(ts.Name, settings)
}

// newest are the policies in force of a listener; nil: there is none of that name.
func (p *Publisher) newest(listener string) *handshake.Policies {
	if snap := p.cfg.Node.Current(); snap != nil {
		if l := snap.Listener(listener); l != nil {
			return l.Policies
		}
	}
	return nil
}

// settle says what is in force of a draft, to those who asked for it.
func (p *Publisher) settle(draft *Draft) {
	p.sources.Settle(draft.verdicts)
	outcome := map[string]map[string]bool{}
	for store, all := range draft.found {
		outcome[store] = map[string]bool{}
		for _, point := range all {
			v := draft.verdicts[point.URL]
			if v.Use != nil || v.Refused != nil || v.Offer.Fault != nil {
				outcome[store][point.URL] = v.Use != nil
			}
		}
	}
	p.points.Settle(outcome)
}

// sweep drops lists that no certificate names any more. It reports whether there
// were any.
func (p *Publisher) sweep() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var stores []string
	if p.inForce != nil {
		for i := range p.inForce.Config.TrustStores {
			if ts := &p.inForce.Config.TrustStores[i]; p.inForce.finders[ts.Name] != nil {
				stores = append(stores, ts.Name)
			}
		}
	}
	return p.points.Sweep(stores)
}
