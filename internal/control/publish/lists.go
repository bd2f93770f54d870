package publish

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// crlSize bounds a file of revocation lists where the configuration's own bound
// is at fault.
const crlSize = 50 << 20

// revocation reads a trust store's lists and holds them against those in force.
func (c *compiler) revocation(ts *config.TrustStore, path string, anchors []*x509.Certificate) revocation.Config {
	r := ts.Revocation
	out := revocation.Config{
		Scope: revocation.Scope(r.Scope), Missing: revocation.Answer(r.Missing),
		Stale: revocation.Answer(r.Stale), Grace: r.Grace, Asking: c.asking(ts),
	}
	entries, faults := 0, len(c.faults)
	for j, s := range r.CRLs {
		if s.Points() {
			continue // after the others, which count whoever has them too
		}
		lists := c.lists(ts, fmt.Sprintf("%s.revocation.crls[%d]", path, j), s)
		for _, l := range lists {
			entries += l.Len()
			c.expires("crl", ts.Name, name(s), l.NextUpdate)
			c.replaceBefore(s, l.NextUpdate)
		}
		out.Lists = append(out.Lists, lists...)
	}
	entries += c.foundLists(ts, path, &out)
	path += ".revocation.crls"
	if c.faults[faults:].Err() == nil { // else lists seem to be taken away that cannot be read
		c.succession(ts, path, out.Lists, anchors)
	}
	c.draft.Lists[ts.Name] = out.Lists
	if limit := ts.Limits.CRLEntries; limit > 0 && entries > limit {
		c.fault(path, fmt.Sprintf("%d revoked certificates", entries), fmt.Sprintf("at most %d", limit), entriesHint)
	}
	return out
}

const entriesHint = "limits.crl_entries of the trust store allows more"

// lists returns those of a source, or reports why there are none.
func (c *compiler) lists(ts *config.TrustStore, path string, s config.Source) []*crl.List {
	f, ok := c.source(path, s)
	if !ok {
		return nil
	}
	defer f.close()
	file, limit := f.Name(), cmp.Or(ts.Limits.CRLSize, crlSize)
	lists, err := c.draft.Read.Load(f, limit, crl.Limits{Entries: ts.Limits.CRLEntries}, c.readBefore())
	if err == nil {
		return lists
	}
	if _, large := errors.AsType[*revocation.SizeError](err); large {
		c.tooLarge(path, file, limit)
	} else if many, ok := errors.AsType[*crl.EntriesError](err); ok {
		c.fault(path, fmt.Sprintf("%s, which has more than %d revoked certificates", file, many.Most),
			fmt.Sprintf("at most %d", many.Most), entriesHint)
	} else {
		c.errs(path, err)
	}
	return nil
}

// readBefore returns the lists of the configuration in force; nil when there is none.
func (c *compiler) readBefore() *revocation.Cache {
	if c.options.InForce == nil {
		return nil
	}
	return c.options.InForce.Read
}

// succession refuses lists that may not take the place of those in force.
func (c *compiler) succession(ts *config.TrustStore, path string, lists []*crl.List, anchors []*x509.Certificate) {
	if c.options.InForce == nil {
		return
	}
	before := c.options.InForce.Lists[ts.Name]
	for _, err := range append(revocation.Regressed(before, lists), revocation.Premature(before, lists, time.Now())...) {
		c.fault(path, err.Error(), "", "")
	}
	for _, l := range revocation.Withdrawn(before, lists) {
		if c.replaced(l) && slices.ContainsFunc(anchors, l.IssuedBy) {
			c.fault(path, fmt.Sprintf("no list in the place of %s, which was in force: the server has something else now", l), "a list of the same authority",
				"if it is meant, take the authority out of ca_bundle, or the URL out of crls")
			continue
		}
		c.warn(path, fmt.Sprintf("no list in the place of %s, which was in force", l), "",
			"certificates that it revoked are accepted again unless missing is refuse")
	}
}

// replaced reports whether a list that was in force came from a URL that is
// still there, and has been fetched: not the operator took it away.
func (c *compiler) replaced(l *crl.List) bool {
	for url, used := range c.options.use {
		if used != nil && c.options.round[url].Spec.Name() == l.Name {
			return true
		}
	}
	return false
}
