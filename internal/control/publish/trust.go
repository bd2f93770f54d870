package publish

import (
	"cmp"
	"crypto/x509"
	"fmt"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
)

// bundleSize bounds a CA bundle file; the quotas of its content are the trust
// store's limits.
const bundleSize = 16 << 20

// crlSize bounds a revocation list where the configuration's own bound is at fault.
const crlSize = 50 << 20

func (c *compiler) trustStore(i int) {
	ts := &c.cfg.TrustStores[i]
	path := fmt.Sprintf("trust_stores[%d]", i)
	before := len(c.faults)
	store := verify.Config{
		Name:    ts.Name,
		Anchors: c.anchors(ts, path),
		Keys:    keyRules(ts.Keys),
		Limits:  trustLimits(ts.Limits),
		Accept:  filters(ts.Accept),
	}
	if ts.Revocation != nil {
		store.Revocation = c.revocation(ts, path)
	}
	if c.faults[before:].Err() != nil {
		return
	}
	s, err := verify.New(store)
	if err != nil {
		c.errs(path, err)
		return
	}
	for _, w := range s.Warnings() {
		c.warn(path, w.What, w.Want, w.Hint)
	}
	c.stores[ts.Name] = s
	c.draft.Stores = append(c.draft.Stores, s)
}

func (c *compiler) anchors(ts *config.TrustStore, path string) []*x509.Certificate {
	var anchors []*x509.Certificate
	for j, file := range ts.CABundle {
		at := fmt.Sprintf("%s.ca_bundle[%d]", path, j)
		data, ok := c.read(at, file, bundleSize)
		if !ok {
			continue
		}
		certs, problems := verify.LoadBundle(file, data, trustLimits(ts.Limits))
		for _, p := range problems {
			c.problem(at, file, p)
		}
		for _, cert := range certs {
			c.expires("ca_certificate", ts.Name, file, cert.NotAfter)
		}
		anchors = append(anchors, certs...)
	}
	return anchors
}

func (c *compiler) revocation(ts *config.TrustStore, path string) revocation.Config {
	r := ts.Revocation
	out := revocation.Config{
		Scope: revocation.Scope(r.Scope), Missing: revocation.Answer(r.Missing),
		Stale: revocation.Answer(r.Stale), Grace: r.Grace,
	}
	entries := 0
	for j, file := range r.CRLs {
		at := fmt.Sprintf("%s.revocation.crls[%d]", path, j)
		data, ok := c.read(at, file, cmp.Or(ts.Limits.CRLSize, crlSize))
		if !ok {
			continue
		}
		lists, err := revocation.Parse(file, data)
		if err != nil {
			c.errs(at, err)
			continue
		}
		for _, l := range lists {
			entries += l.Len()
			c.expires("crl", ts.Name, file, l.NextUpdate)
		}
		out.Lists = append(out.Lists, lists...)
	}
	if before := c.options.InForce; before != nil {
		for _, err := range revocation.Regressed(before.Lists[ts.Name], out.Lists) {
			c.fault(path+".revocation.crls", err.Error(), "", "")
		}
		for _, l := range revocation.Withdrawn(before.Lists[ts.Name], out.Lists) {
			c.warn(path+".revocation.crls", fmt.Sprintf("no list of the issuer of %s, which was in force", l), "",
				"certificates that it revoked are accepted again unless missing is refuse")
		}
	}
	c.draft.Lists[ts.Name] = out.Lists
	if limit := ts.Limits.CRLEntries; limit > 0 && entries > limit {
		c.fault(path+".revocation.crls", fmt.Sprintf("%d revoked certificates", entries),
			fmt.Sprintf("at most %d", ts.Limits.CRLEntries), "limits.crl_entries of the trust store allows more")
	}
	return out
}

func trustLimits(l config.TrustLimits) verify.Limits {
	return verify.Limits{
		CACertificates:    l.CACertificates,
		CACertificateSize: int(l.CACertificateSize),
		SubjectSize:       int(l.CASubjectsSize),
	}
}

func keyRules(k config.KeyRules) verify.KeyRules {
	return verify.KeyRules{RSAMin: k.RSAMin, ECDSA: k.ECDSA, Ed25519: k.Ed25519}
}

func filters(accept []config.Filter) []verify.Filter {
	var out []verify.Filter
	for _, f := range accept {
		v := verify.Filter{SubjectCN: f.SubjectCN, SubjectOU: f.SubjectOU, SANDNS: f.SANDNS, SANURI: f.SANURI}
		for _, p := range f.SPKIPin {
			v.SPKIPin = append(v.SPKIPin, p.String())
		}
		for _, p := range f.Fingerprint {
			v.Fingerprint = append(v.Fingerprint, p.String())
		}
		out = append(out, v)
	}
	return out
}
