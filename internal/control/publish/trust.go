package publish

import (
	"cmp"
	"crypto/x509"
	"fmt"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/verify"
)

// bundleSize bounds a file of a CA bundle where the configuration's own bound is
// at fault.
const bundleSize = 16 << 20

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
		store.Revocation = c.revocation(ts, path, store.Anchors)
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
	c.finder(ts, s)
	c.draft.Stores = append(c.draft.Stores, s)
}

func (c *compiler) anchors(ts *config.TrustStore, path string) []*x509.Certificate {
	var anchors []*x509.Certificate
	for j, s := range ts.CABundle {
		at, file := fmt.Sprintf("%s.ca_bundle[%d]", path, j), name(s)
		data, ok := c.all(at, s, cmp.Or(ts.Limits.CABundleSize, bundleSize))
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
