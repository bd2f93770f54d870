package publish

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/forward/upstream/secure"
	"countersign.dev/internal/traffic/handshake/servercert"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// targetBundle bounds the authorities of targets: that of an operating system fits.
var targetBundle = verify.Limits{CACertificates: 1000, CACertificateSize: 64 << 10, SubjectSize: 1 << 20}

// targetEntries bounds how many certificates the lists of a file may revoke.
const targetEntries = 5_000_000

// targetTLS compiles what a target group says about TLS; nil: its targets are
// reached without, or there is a fault.
func (c *compiler) targetTLS(i int) *secure.Client {
	g := &c.cfg.TargetGroups[i]
	if !g.OverTLS() || g.Protocol == "http" || g.Protocol == "tcp" {
		return nil
	}
	path := fmt.Sprintf("target_groups[%d].tls", i)
	before := len(c.faults)
	settings := secure.Config{Protocols: []string{"http/1.1"}}
	switch g.Protocol {
	case "h2", "grpc":
		settings.Protocols, settings.Demanded = []string{"h2"}, true
	case "tls":
		settings.Protocols = nil
	}
	if t := g.TLS; t != nil {
		c.targetSettings(&settings, g, path)
	}
	if c.faults[before:].Err() != nil {
		return nil
	}
	client, err := secure.New(settings)
	if err != nil {
		c.errs(path+".crls", err) // all else has been looked at
		return nil
	}
	for _, w := range client.Warnings() {
		if settings.Roots == nil && strings.Contains(w, "is of no CA") {
			continue // those of the system are not looked at
		}
		c.warn(path+".crls", inTermsOfTargets.Replace(w), "", "")
	}
	return c.unchanged(g.Name, client)
}

// inTermsOfTargets is for what is said of clients and trust stores elsewhere.
var inTermsOfTargets = strings.NewReplacer("clients", "targets", "the trust store", "ca_bundle")

// unchanged returns the client in force if it is the same, so that what was made
// with it stays in use.
func (c *compiler) unchanged(group string, client *secure.Client) *secure.Client {
	if c.options.InForce != nil {
		for _, g := range c.options.InForce.Groups {
			if g.Name == group && client.Same(g.TLS) {
				return g.TLS
			}
		}
	}
	return client
}

func (c *compiler) targetSettings(out *secure.Config, g *config.TargetGroup, path string) {
	t := g.TLS
	out.ServerName, out.Unverified = t.ServerName, !t.Verify
	for _, p := range t.Pins {
		out.Pins = append(out.Pins, [sha256.Size]byte(p))
	}
	if g.Protocol == "tls" {
		out.Protocols = t.ALPN
	}
	if t.Certificate != nil {
		out.Certificate = c.ownCertificate(t.Certificate, g.Name, path+".certificate")
	}
	if len(t.CABundle) > 0 {
		out.Roots = []*x509.Certificate{} // those of the system are not meant, whatever is in the files
	}
	for j, file := range t.CABundle {
		out.Roots = append(out.Roots, c.targetAuthorities(file, g.Name, fmt.Sprintf("%s.ca_bundle[%d]", path, j))...)
	}
	for j, file := range t.CRLs {
		out.CRLs = append(out.CRLs, c.targetLists(file, g.Name, fmt.Sprintf("%s.crls[%d]", path, j))...)
	}
	c.targetSuccession(g.Name, path+".crls", out.CRLs)
}

// ownCertificate reads what is shown to targets.
func (c *compiler) ownCertificate(files *config.Certificate, group, path string) *tls.Certificate {
	own, read := keyPair(c, files, path, servercert.LoadClient)
	if !read || own.Leaf == nil {
		return nil
	}
	c.expires("target_client_certificate", group, files.Cert, own.Leaf.NotAfter)
	return &own
}

func (c *compiler) targetAuthorities(file, group, path string) []*x509.Certificate {
	data, ok := c.read(path, file, bundleSize)
	if !ok {
		return nil
	}
	certs, problems := verify.LoadBundle(file, data, targetBundle)
	for _, p := range problems {
		if p.Warning && strings.Contains(p.Hint, "AWS") {
			continue // which has no bundle for targets
		}
		p.Hint = inTermsOfTargets.Replace(p.Hint)
		c.problem(path, file, p)
	}
	first := time.Time{}
	for _, cert := range certs {
		if first.IsZero() || cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
	c.expires("target_ca_certificate", group, file, first)
	return certs
}

// targetLists reads the revocation lists of a file, through a window.
func (c *compiler) targetLists(file, group, path string) []*crl.List {
	f, ok := c.open(path, file)
	if !ok {
		return nil
	}
	defer f.Close()
	lists, err := c.draft.Read.Load(f, targetListSize, crl.Limits{Entries: targetEntries}, c.readBefore())
	if large, ok := errors.AsType[*revocation.SizeError](err); ok && large != nil {
		c.tooLarge(path, file, targetListSize)
		return nil
	}
	c.errs(path, err)
	var first time.Time
	for _, l := range lists {
		if first.IsZero() || l.NextUpdate.Before(first) {
			first = l.NextUpdate
		}
	}
	c.expires("target_crl", group, file, first)
	return lists
}

// targetListSize bounds a file of revocation lists, in bytes.
const targetListSize = 1 << 30

// targetSuccession refuses lists that are older than those in force.
func (c *compiler) targetSuccession(group, path string, lists []*crl.List) {
	c.draft.TargetLists[group] = lists
	if c.options.InForce == nil {
		return
	}
	before := c.options.InForce.TargetLists[group]
	for _, err := range append(revocation.Regressed(before, lists), revocation.Premature(before, lists, time.Now())...) {
		c.fault(path, err.Error(), "", "")
	}
	for _, l := range revocation.Withdrawn(before, lists) {
		c.warn(path, fmt.Sprintf("no list in the place of %s, which was in force", l), "", "targets that it revoked are accepted again")
	}
}
