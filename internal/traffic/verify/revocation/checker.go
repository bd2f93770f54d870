package revocation

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A Scope says which certificates of a path are looked up.
type Scope string

// The scopes. A trust anchor is never looked up: it is in the trust store or not.
const (
	ScopeLeaf  Scope = "leaf"
	ScopeChain Scope = "chain" // the leaf and every intermediate
)

// An Answer says what becomes of a certificate whose revocation is unknown.
type Answer string

// The answers.
const (
	Accept Answer = "accept"
	Refuse Answer = "refuse"
)

// Config is what a trust store says about revocation.
type Config struct {
	Lists []*crl.List
	// Vouched are those of Lists that an authority signed which clients presented:
	// that it is none of the trust store is as it should be.
	Vouched map[*crl.List]bool
	Scope   Scope         // "": leaf
	Missing Answer        // no list speaks for the certificate; "": accept
	Stale   Answer        // the list is past nextUpdate and grace, or dated in the future; "": refuse
	Grace   time.Duration // how long after nextUpdate a list still counts, and an answer
	Asking  Asking
}

// A Checker looks certificates up in the lists of one trust store. It is safe
// for concurrent use.
type Checker struct {
	cfg      Config
	byIssuer map[string][]*combined // by RawIssuer
	ofAnchor map[*crl.List]bool     // signed by an anchor of the store

	mu     sync.RWMutex
	signed map[signedBy]*issuer // who signed the list with that key; nil: nobody
}

// signedBy is the question whether a key signed a list.
type signedBy struct {
	list *crl.List
	key  [sha256.Size]byte // of the SubjectPublicKeyInfo
}

// mostSigned bounds how many answers are remembered. Only keys of verified CAs
// are ever asked about, so that it is reached by none but a very large store.
const mostSigned = 4096

// New checks cfg against the trust store's anchors. A list that claims to be an
// anchor's and is not signed by it is an error, and so is a delta list without
// the complete list that it changes. A list that can be no anchor's is a warning:
// it may be that of an intermediate which clients present, whose signature is
// checked when one does.
func New(cfg Config, anchors []*x509.Certificate, now time.Time) (*Checker, []string, error) {
	c := &Checker{cfg: cfg, byIssuer: map[string][]*combined{}, ofAnchor: map[*crl.List]bool{}, signed: map[signedBy]*issuer{}}
	var warnings []string
	var errs []error
	errs = append(errs, c.defaults()...)
	seen := map[[32]byte]*crl.List{}
	var lists []*crl.List
	for _, l := range cfg.Lists {
		if first := seen[l.Digest()]; first != nil {
			errs = append(errs, fmt.Errorf("%s is there twice (%s); remove one of them", l, first.Name))
			continue
		}
		seen[l.Digest()] = l
		lists = append(lists, l)
		warning, err := c.place(l, anchors)
		if err != nil {
			errs = append(errs, err)
		} else if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	all, unfit, idle := combine(lists)
	errs, warnings = append(errs, unfit...), append(warnings, idle...)
	for _, l := range all {
		issuer := string(l.complete.RawIssuer)
		c.byIssuer[issuer] = append(c.byIssuer[issuer], l)
		if why := c.outOfDate(l.newest(), now); why != "" {
			effect := "it counts all the same, as revocation.stale says"
			if c.cfg.Stale == Refuse {
				effect = "clients of this issuer are refused until there is a newer one"
			}
			warnings = append(warnings, fmt.Sprintf("%s %s; %s", l, why, effect))
		}
	}
	return c, warnings, errors.Join(errs...)
}

func (c *Checker) defaults() []error {
	var errs []error
	choose := func(what string, v *Answer, def Answer) {
		switch *v {
		case "":
			*v = def
		case Accept, Refuse:
		default:
			errs = append(errs, fmt.Errorf("revocation.%s is %q; want accept or refuse", what, *v))
		}
	}
	choose("missing", &c.cfg.Missing, Accept)
	choose("stale", &c.cfg.Stale, Refuse)
	switch c.cfg.Scope {
	case "":
		c.cfg.Scope = ScopeLeaf
	case ScopeLeaf, ScopeChain:
	default:
		errs = append(errs, fmt.Errorf("revocation.scope is %q; want leaf or chain", c.cfg.Scope))
	}
	errs = append(errs, c.cfg.Asking.validate())
	if c.cfg.Grace < 0 {
		errs = append(errs, fmt.Errorf("revocation.grace is %v; want 0 or more", c.cfg.Grace))
	}
	return errs
}

// place finds the anchor that signed a list.
func (c *Checker) place(l *crl.List, anchors []*x509.Certificate) (warning string, err error) {
	var claimed *x509.Certificate
	for _, a := range anchors {
		switch {
		case l.IssuedBy(a):
			if !maySignLists(a) {
				return "", fmt.Errorf("%s: the key usage of %s does not let it sign revocation lists; want cRLSign", l, describe.Certificate(a))
			}
			c.ofAnchor[l] = true
		case l.MayBeOf(a):
			claimed = a
		}
	}
	switch {
	case c.ofAnchor[l], c.cfg.Vouched[l]:
		return "", nil
	case claimed != nil:
		return "", fmt.Errorf("%s is not signed by the key of %s: the file is damaged, forged, or of another CA with the same name; get it again from the CA", l, describe.Certificate(claimed))
	}
	return fmt.Sprintf("%s is of no CA in the trust store; it counts only for clients that present an intermediate certificate of exactly that name and key", l), nil
}

// maySignLists is RFC 5280 section 6.3.3 (f): a key usage, if there is one, must say cRLSign.
func maySignLists(ca *x509.Certificate) bool {
	return ca.KeyUsage == 0 || ca.KeyUsage&x509.KeyUsageCRLSign != 0
}

// skew is by how much the clocks here and at an authority may differ: a list
// that is dated a little in the future counts.
const skew = 5 * time.Minute

func notYet(l *crl.List, now time.Time) bool { return now.Add(skew).Before(l.ThisUpdate) }

// outOfDate says why a list does not count at now, "" when it does.
func (c *Checker) outOfDate(l *crl.List, now time.Time) string {
	end := l.NextUpdate.Add(c.cfg.Grace)
	switch {
	case notYet(l, now):
		return "is dated " + describe.Date(l.ThisUpdate) + ", in the future"
	case now.After(end) && c.cfg.Grace > 0:
		return fmt.Sprintf("should have been replaced by %s, and the grace of %v is over", describe.Date(l.NextUpdate), c.cfg.Grace)
	case now.After(end):
		return "should have been replaced by " + describe.Date(l.NextUpdate)
	}
	return ""
}

// Digest is equal for Checkers that give equal answers.
func (c *Checker) Digest() [32]byte {
	digests := make([][]byte, 0, len(c.cfg.Lists))
	for _, l := range c.cfg.Lists {
		d := l.Digest()
		digests = append(digests, d[:])
	}
	slices.SortFunc(digests, bytes.Compare)
	return sha256.Sum256(fmt.Appendf(nil, "%s %s %s %d %s %x", c.cfg.Scope, c.cfg.Missing, c.cfg.Stale, c.cfg.Grace, c.cfg.Asking.terms(), digests))
}

// An issuer is a CA whose certificate is to be looked up, with the hash of its key.
type issuer struct {
	*x509.Certificate
	key [sha256.Size]byte
}

// unsigned returns the first list of l that is not signed by ca's key, nil when
// all are.
func (c *Checker) unsigned(l *combined, ca *issuer) *crl.List {
	if !c.isSignedBy(l.complete, ca) {
		return l.complete
	}
	for _, d := range l.deltas {
		if !c.isSignedBy(d, ca) {
			return d
		}
	}
	return nil
}

// isSignedBy reports whether ca's key signed l, from memory if it was asked before.
func (c *Checker) isSignedBy(l *crl.List, ca *issuer) bool {
	k := signedBy{l, ca.key}
	c.mu.RLock()
	by, known := c.signed[k]
	c.mu.RUnlock()
	if known {
		return by != nil
	}
	if l.IssuedBy(ca.Certificate) {
		by = &issuer{ca.Certificate, ca.key} // ca itself is on its caller's stack
	}
	c.mu.Lock()
	if len(c.signed) < mostSigned {
		c.signed[k] = by
	}
	c.mu.Unlock()
	return by != nil
}

func deny(code countersign.Code, format string, args ...any) *countersign.Denial {
	return countersign.Deny(countersign.StageVerify, code, format, args...)
}
