package jwt

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"github.com/go-jose/go-jose/v4"
	"github.com/maypok86/otter/v2"
)

// maxToken bounds a token, in bytes: beyond, it is not looked at.
const maxToken = 16 << 10

// mostVerified bounds how many tokens that were verified are remembered.
const mostVerified = 20_000

// Algorithms are all that tokens may be signed with: those of RFC 7518 section 3.1
// and RFC 8037 whose keys are public.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// Config says which tokens are good.
type Config struct {
	Name       string // of the credential
	Issuer     string
	Audience   []string // one of them
	Keys       *Keys
	Algorithms []string // at least one
	Type       string   // typ of the header; "": any
	Leeway     time.Duration
	Claims     []Claim
	// SubjectClaim says who it is.
	SubjectClaim string
	// Bound: a token has to belong to a certificate. Those that say they do have to
	// in any case.
	Bound bool
	// Bearer: the field is Authorization, with the word Bearer (RFC 6750).
	Bearer bool
	// Renew has the keys asked for anew, since one is not among them, unless that
	// was done a moment ago. It returns when newer ones are in force, or there are
	// none. nil: there is nobody to ask.
	Renew func(context.Context)
}

// Tokens verify the tokens of one issuer.
type Tokens struct {
	Config
	algorithms []jose.SignatureAlgorithm
	verified   *otter.Cache[[sha256.Size]byte, *token]
}

// A token is one that was verified.
type token struct {
	subject     string
	from, until time.Time // leeway included; from may be zero
	bound       *[32]byte
}

// New returns Tokens for a Config.
func New(c Config) *Tokens {
	t := &Tokens{Config: c, verified: otter.Must(&otter.Options[[sha256.Size]byte, *token]{
		MaximumSize: mostVerified,
		Executor:    func(task func()) { task() }, // no goroutine that nobody waits for
	})}
	for _, a := range c.Algorithms {
		t.algorithms = append(t.algorithms, jose.SignatureAlgorithm(a))
	}
	return t
}

// Quick implements credential.Scheme.
func (t *Tokens) Quick(shown []byte, at credential.Circumstances) (string, bool, *credential.Failure) {
	if len(shown) > maxToken {
		return "", true, invalid("it has %d bytes; at most %d are looked at", len(shown), maxToken)
	}
	known, ok := t.verified.GetIfPresent(sha256.Sum256(shown))
	if !ok {
		return "", false, nil
	}
	return known.subject, true, known.holds(at)
}

// Verify implements credential.Scheme.
func (t *Tokens) Verify(ctx context.Context, shown []byte, at credential.Circumstances) (string, *credential.Failure) {
	if len(shown) > maxToken {
		return "", invalid("it has %d bytes; at most %d are looked at", len(shown), maxToken)
	}
	verified, failed := t.parse(ctx, string(shown))
	if failed != nil {
		return "", failed
	}
	if failed := verified.holds(at); failed != nil {
		return "", failed
	}
	t.verified.Set(sha256.Sum256(shown), verified)
	return verified.subject, nil
}

// parse verifies what of a token does not change.
func (t *Tokens) parse(ctx context.Context, text string) (*token, *credential.Failure) {
	signed, err := jose.ParseSignedCompact(text, t.algorithms)
	if err != nil {
		return nil, invalid("it is not a signed token of an algorithm that is accepted: %s", strings.TrimPrefix(err.Error(), "go-jose/go-jose: "))
	}
	// Before the signature, so that the keys of another issuer are not asked for.
	// Nothing is believed on account of it.
	c, failed := parseClaims(signed.UnsafePayloadWithoutVerification())
	if failed != nil {
		return nil, failed
	}
	if iss, _ := c["iss"].(string); iss != t.Issuer {
		return nil, invalid("its iss is %.100q; want %q", iss, t.Issuer)
	}
	if failed := t.verify(ctx, signed); failed != nil {
		return nil, failed
	}
	if failed := t.check(c); failed != nil {
		return nil, failed
	}
	out := &token{}
	if out.subject, failed = t.subject(c); failed != nil {
		return nil, failed
	}
	if out.bound, failed = c.bound(); failed != nil {
		return nil, failed
	}
	if out.bound == nil && t.Bound {
		return nil, notBound("it belongs to no certificate; want cnf with x5t#S256 (RFC 8705 section 3.1)")
	}
	until, there, failed := c.instant("exp")
	switch {
	case failed != nil:
		return nil, failed
	case !there:
		return nil, invalid("it has no exp, so that it would never end")
	}
	out.until = until.Add(t.Leeway)
	if out.from, there, failed = c.instant("nbf"); failed != nil {
		return nil, failed
	} else if there {
		out.from = out.from.Add(-t.Leeway)
	}
	return out, nil
}

// verify checks the header and the signature. What the header says of where keys
// may be found, or which one it is (jku, jwk, x5u, x5c), is nothing to go by.
func (t *Tokens) verify(ctx context.Context, signed *jose.JSONWebSignature) *credential.Failure {
	head := signed.Signatures[0].Protected
	if _, critical := head.ExtraHeaders["crit"]; critical {
		return invalid("its header has crit: what it says must be understood is not known here (RFC 7515 section 4.1.11)")
	}
	if typ, _ := head.ExtraHeaders[jose.HeaderType].(string); t.Type != "" && !sameType(typ, t.Type) {
		return invalid("its typ is %.100q; want %q", typ, t.Type)
	}
	fit := t.Keys.find(head.KeyID, jose.SignatureAlgorithm(head.Algorithm))
	if len(fit) == 0 {
		if t.Renew != nil && head.KeyID != "" {
			t.Renew(ctx) // if that brings it, what is asked next are other Tokens
		}
		return invalid("its key %.100q is not among the %d of the issuer that are for %s", head.KeyID, t.Keys.Len(), head.Algorithm)
	}
	for _, k := range fit {
		if _, err := signed.Verify(k.public); err == nil {
			return nil
		}
	}
	return invalid("its signature is not that of the key %.100q", head.KeyID)
}

// sameType compares media types, whose application/ may be left out (RFC 7515
// section 4.1.9).
func sameType(a, b string) bool {
	short := func(s string) string {
		s = strings.ToLower(s)
		if rest, ok := strings.CutPrefix(s, "application/"); ok && !strings.Contains(rest, "/") {
			return rest
		}
		return s
	}
	return short(a) == short(b)
}

// holds checks what depends on the moment, or on the connection.
func (t *token) holds(at credential.Circumstances) *credential.Failure {
	switch {
	case !at.Now.Before(t.until):
		return expired("it has ended at " + t.until.UTC().Format(time.RFC3339))
	case at.Now.Before(t.from):
		return expired("it begins at " + t.from.UTC().Format(time.RFC3339))
	case t.bound == nil:
		return nil
	case at.Certificate == nil:
		return notBound("it belongs to a certificate, and the client has shown none")
	case subtle.ConstantTimeCompare(t.bound[:], at.Certificate[:]) != 1:
		return notBound("it belongs to another certificate than the client's")
	}
	return nil
}

func invalid(format string, args ...any) *credential.Failure {
	f := credential.Fail(countersign.CredentialInvalid, format, args...)
	f.Hint = "the token is not valid here"
	return f
}

func expired(reason string) *credential.Failure {
	return &credential.Failure{Code: countersign.CredentialExpired, Reason: reason, Hint: "the token is not valid at this time"}
}

func notBound(reason string) *credential.Failure {
	return &credential.Failure{Code: countersign.CredentialNotBound, Reason: reason, Hint: "the token belongs to another client certificate"}
}

// Challenge implements credential.Scheme: RFC 6750 section 3.
func (t *Tokens) Challenge(failed *credential.Failure) string {
	s := `JWT realm="` + t.Name + `"`
	if t.Bearer {
		s = `Bearer realm="` + t.Name + `"`
	}
	switch {
	case failed == nil || failed.Hint == "":
		return s
	case failed.Code == countersign.CredentialInsufficient:
		s += `, error="insufficient_scope"`
	default:
		s += `, error="invalid_token"`
	}
	return s + `, error_description="` + failed.Hint + `"`
}
