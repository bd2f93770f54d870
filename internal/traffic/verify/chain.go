package verify

import (
	"crypto/x509"
	"time"

	"countersign.dev"
)

// A Chain is a certificate chain that this package has let pass: verified
// against a Store, or, in passthrough, explicitly not. Only Store.Verify and
// Unverified make one; the zero value is no chain and proves nothing.
//
// A Chain is a small value, safe to copy and, but for Rest, to share between
// goroutines.
type Chain struct{ proof *proof }

type proof struct {
	presented []*x509.Certificate
	path      []*x509.Certificate // leaf..anchor, nil when unverified
	origin    *origin             // nil when unverified

	// These depend on the moment of the check and on the policy, not on the certificates.
	goodUntil    time.Time
	ignoreExpiry bool
	lapse        *countersign.Denial

	alone bool // no other path leads from what was presented to the anchors of origin

	inline [defaultDepth]*x509.Certificate

	// At rest: what is nil in presented, as it was sent. The leaf is one of
	// them, and nil at the head of path as well.
	encoded [][]byte
}

// origin names the store that made a proof. It is not the Store itself, which
// must not live on, with its lists, for as long as a connection does.
type origin struct {
	name       string
	generation [32]byte
	anchors    [32]byte // a hash of them alone
}

// IsZero reports whether c is no chain at all.
func (c Chain) IsZero() bool { return c.proof == nil }

// Leaf returns the certificate whose private key the client has proven to
// hold: always the first one presented, never another. Nil for the zero Chain.
func (c Chain) Leaf() *x509.Certificate {
	if c.proof == nil {
		return nil
	}
	return c.proof.certificate(0)
}

// Presented returns the certificates in the order in which the client sent
// them, leaf first. The caller must not change the slice.
func (c Chain) Presented() []*x509.Certificate {
	switch {
	case c.proof == nil:
		return nil
	case c.proof.encoded == nil:
		return c.proof.presented
	}
	all := make([]*x509.Certificate, len(c.proof.presented))
	for i := range all {
		if all[i] = c.proof.certificate(i); all[i] == nil {
			return nil
		}
	}
	return all
}

// Path returns the certificates from the leaf to the trust store's anchor,
// both included; nil when the chain was not verified. The caller must not
// change the slice.
func (c Chain) Path() []*x509.Certificate {
	switch {
	case c.proof == nil:
		return nil
	case c.proof.encoded == nil || c.proof.path == nil:
		return c.proof.path
	}
	leaf := c.proof.certificate(0)
	if leaf == nil {
		return nil
	}
	return append([]*x509.Certificate{leaf}, c.proof.path[1:]...)
}

// Issuer returns the certificate of the authority that issued the leaf; nil when the
// chain was not verified, or the leaf is an anchor itself. It allocates nothing.
func (c Chain) Issuer() *x509.Certificate {
	if c.proof == nil || len(c.proof.path) < 2 {
		return nil
	}
	return c.proof.path[1]
}

// Verified reports whether the chain was held against a trust store and passed.
func (c Chain) Verified() bool { return c.held() && c.proof.lapse == nil }

// Lapse says what is wrong with a chain that passed so that its leaf, which has
// expired, can be renewed, and that proves nothing else: it is not Verified. Nil
// for every other chain.
func (c Chain) Lapse() *countersign.Denial {
	if c.proof == nil {
		return nil
	}
	return c.proof.lapse
}

// held reports whether the chain rests on a trust store.
func (c Chain) held() bool { return c.proof != nil && c.proof.path != nil }

// StoreName names the trust store that verified the chain, "" when none did.
func (c Chain) StoreName() string {
	if !c.held() {
		return ""
	}
	return c.proof.origin.name
}

// Generation returns the generation of the trust store that verified the
// chain, zero when none did.
func (c Chain) Generation() [32]byte {
	if !c.held() {
		return [32]byte{}
	}
	return c.proof.origin.generation
}

// GoodUntil returns the last instant at which the answer holds by time alone:
// the end of the first certificate on the path to end, or of a revocation
// list's grace. After it the chain has to be verified again. The zero time
// means that time alone changes nothing.
func (c Chain) GoodUntil() time.Time {
	if c.proof == nil {
		return time.Time{}
	}
	return c.proof.goodUntil
}

// IgnoreExpiry reports whether the chain passed under a policy that lets
// expired certificates pass.
func (c Chain) IgnoreExpiry() bool { return c.proof != nil && c.proof.ignoreExpiry }
