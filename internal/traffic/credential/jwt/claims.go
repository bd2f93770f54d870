package jwt

import (
	"encoding/base64"
	"math"
	"slices"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"github.com/go-jose/go-jose/v4/json"
)

// A Claim is something that a token has to say.
type Claim struct {
	Name   string
	Values []string // one is enough
}

// claims are the statements of a token, by name. Names are unique, and their case
// matters (RFC 7519 sections 4 and 10.1.1).
type claims map[string]any

func parseClaims(payload []byte) (claims, *credential.Failure) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil || c == nil {
		return nil, invalid("its payload is not a JSON object with unique names (RFC 7519 section 4)")
	}
	return c, nil
}

// texts returns a claim that is a text, or a list of texts.
func (c claims) texts(name string) []string {
	switch v := c[name].(type) {
	case string:
		if name == "scope" { // RFC 8693 section 4.2: words with blanks between them
			return strings.Fields(v)
		}
		return []string{v}
	case []any:
		var all []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

// instant returns a claim that is a NumericDate (RFC 7519 section 2).
func (c claims) instant(name string) (at time.Time, there bool, failed *credential.Failure) {
	v, there := c[name]
	if !there {
		return time.Time{}, false, nil
	}
	n, ok := v.(float64)
	if !ok || math.Abs(n) > 1<<40 {
		return time.Time{}, true, invalid("its %s is not a date (RFC 7519 section 2)", name)
	}
	return time.Unix(int64(math.Floor(n)), 0), true, nil
}

// bound returns the certificate that the token belongs to (RFC 8705 section 3.1),
// nil if to none.
func (c claims) bound() (*[32]byte, *credential.Failure) {
	v, there := c["cnf"]
	if !there {
		return nil, nil
	}
	cnf, _ := v.(map[string]any)
	text, _ := cnf["x5t#S256"].(string)
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sum) != 32 {
		// Another way to bind it (RFC 7800), which nobody checks here: a bearer of the
		// token may not be its holder.
		return nil, notBound("its cnf has no x5t#S256 (RFC 8705 section 3.1), and no other confirmation is known here")
	}
	return (*[32]byte)(sum), nil
}

// check returns what of a token is not as it has to be, of what does not change.
func (t *Tokens) check(c claims) *credential.Failure {
	if !slices.ContainsFunc(c.texts("aud"), func(s string) bool { return slices.Contains(t.Audience, s) }) {
		return invalid("it is for %q; want aud to be one of %q", c.texts("aud"), t.Audience)
	}
	for _, want := range t.Claims {
		if !slices.ContainsFunc(c.texts(want.Name), func(s string) bool { return slices.Contains(want.Values, s) }) {
			f := credential.Fail(countersign.CredentialInsufficient, "its %s is %q; want one of %q", want.Name, c.texts(want.Name), want.Values)
			f.Hint = "the token does not say what is required"
			return f
		}
	}
	return nil
}

// subject returns who the token is about.
func (t *Tokens) subject(c claims) (string, *credential.Failure) {
	s, _ := c[t.SubjectClaim].(string)
	if s == "" || len(s) > 256 {
		return "", invalid("its %s is not a text of 1 to 256 bytes, so that it is nobody's", t.SubjectClaim)
	}
	return s, nil
}
