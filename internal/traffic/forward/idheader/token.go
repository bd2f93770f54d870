package idheader

import (
	"errors"
	"fmt"
	"time"
)

// TokenHeader is the field that a token is sent in unless its Config says otherwise.
const TokenHeader = "X-Client-Identity-Token"

// tokenWord is the dialect's word. Unlike the others it is rendered for each
// target group, and again before it expires: see Plan.State.
const tokenWord = "token"

// Bounds of Token.Lifetime. Half of the shortest is as long as a connection to a
// target takes to be given up: a token does not expire on the way.
const (
	minLifetime = 10 * time.Second
	maxLifetime = time.Hour
)

// A Token says how targets are told of clients by a signed statement.
type Token struct {
	Header   string        // the field; "": TokenHeader
	Issuer   string        // the claim iss; "": countersign
	Audience string        // the claim aud; "": the name of the target group
	Lifetime time.Duration // from iat to exp, in whole seconds; 0: a minute
	// Signer signs. nil: what would be signed is a fault, as in a look at the
	// configuration alone.
	Signer Signer
}

// A Signer makes a JWS in the compact serialization (RFC 7515 section 7.1) of
// claims, with the key that is in use. It is called for many clients at once.
type Signer interface {
	Sign(claims []byte) (string, error)
}

// compileToken returns t with nothing left out, and every fault in it, joined.
func compileToken(t Token) (*Token, error) {
	if t.Header == "" {
		t.Header = TokenHeader
	}
	if t.Issuer == "" {
		t.Issuer = "countersign"
	}
	if t.Lifetime == 0 {
		t.Lifetime = time.Minute
	}
	var faults []error
	if why := nameFault(t.Header); why != "" {
		faults = append(faults, fmt.Errorf("identity token header %q: %s", t.Header, why))
	}
	if t.Lifetime < minLifetime || t.Lifetime > maxLifetime {
		faults = append(faults, fmt.Errorf("identity token lifetime %v: want %v to %v", t.Lifetime, minLifetime, maxLifetime))
	}
	t.Lifetime = t.Lifetime.Truncate(time.Second)
	return &t, errors.Join(faults...)
}
