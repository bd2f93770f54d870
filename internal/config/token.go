package config

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// A Token tells the backend by a signed statement, a JWT, which it can verify
// whatever way the request came: by the keys at /.well-known/jwks.json of the
// admin address.
type Token struct {
	// Header has the token. Default X-Client-Identity-Token.
	Header string `yaml:"header" default:"X-Client-Identity-Token" is:"header name"`

	// Lifetime is from iat to exp, in whole seconds. A token is sent in the first
	// half of it alone, then a new one is signed. Default 60s.
	Lifetime time.Duration `yaml:"lifetime" default:"60s" range:"10s..1h"`

	// Audience is the claim aud. Left out: the name of the target group, so that
	// what one group was sent is worth nothing at another.
	Audience string `yaml:"audience"`

	// Issuer is the claim iss. Default countersign.
	Issuer string `yaml:"issuer" default:"countersign"`

	// JWKSPath is a path of this listener at which the node publishes its keys, to
	// everybody whom client_auth lets in. Left out: at the admin address alone.
	JWKSPath string `yaml:"jwks_path"`
}

// Signing is about the keys under which a node states who its clients are. They
// are in data_dir; without one, they last as long as the program.
type Signing struct {
	// Rotate is how long a key signs. It is published for as long before, and
	// afterwards until what it has signed has expired. Default 24h.
	Rotate time.Duration `yaml:"rotate" default:"24h" range:"1h..8760h"`
}

// plainToken is what the word token stands for.
func plainToken() *Token {
	return &Token{Header: "X-Client-Identity-Token", Lifetime: time.Minute, Issuer: "countersign"}
}

// Token is how the listener's targets are told by a token; nil: they are not.
func (l *Listener) Token() *Token {
	for _, h := range l.IdentityHeaders {
		if h.Token != nil {
			return h.Token
		}
	}
	return nil
}

// States reports whether targets of any listener are told by a token.
func (c *Config) States() bool {
	for i := range c.Listeners {
		if c.Listeners[i].Token() != nil {
			return true
		}
	}
	return false
}

// ownPath reports whether a node can answer at p itself: exactly there.
func ownPath(p string) bool {
	return strings.HasPrefix(p, "/") && !strings.ContainsAny(p, "?#%\\ *") && !strings.Contains(p, "//") && !strings.HasSuffix(p, "/") && utf8.ValidString(p)
}

func (t *Token) check(c *checker, path string) {
	if p := t.JWKSPath; p != "" {
		if !ownPath(p) {
			c.fault(path+".jwks_path", quoted(p), "an absolute path without a trailing slash, escapes or wildcards", "such as /.well-known/countersign/jwks.json")
		} else if strings.HasPrefix(p+"/", "/.well-known/est/") {
			c.fault(path+".jwks_path", quoted(p), "another path", "below /.well-known/est/ is EST (RFC 7030)")
		} else if d := c.Devices; d != nil && d.Initialize != nil && d.Initialize.Path == p {
			c.fault(path+".jwks_path", quoted(p)+" again", "another path", fmt.Sprintf("devices.initialize.path on line %d has it", c.doc.Line("devices.initialize.path")))
		}
	}
}
