package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign.dev"
)

// A Credential is something that clients show beside a certificate, or in its
// place, where require names it.
type Credential struct {
	// Name is how require refers to the credential, and logs.
	Name string `yaml:"name,required" is:"name"`

	// Type is api_key, a text that only its holder knows; basic, a user's name and
	// password (RFC 7617); or jwt, a signed token (RFC 7519).
	Type string `yaml:"type,required" one:"api_key|basic|jwt"`

	// Header is the field that has it. Left out: X-Api-Key of api_key, else
	// Authorization, which is the only one of basic.
	Header string `yaml:"header" is:"header name"`

	// ForwardCredentials: whether targets are shown the credential too. With false
	// they are told who it was, by X-Auth-Subject, X-Auth-Type and
	// X-Auth-Credential, and the secret ends here. Default false.
	ForwardCredentials bool `yaml:"forward_credentials" default:"false"`

	// Keys, of api_key, is a file with one ID:SHA256 a line, which countersign
	// credential api-key new makes. An id may have several keys.
	Keys string `yaml:"keys" is:"file"`

	// Htpasswd, of basic, is a file with one USER:HASH a line, as htpasswd -B
	// writes it: of bcrypt alone.
	Htpasswd string `yaml:"htpasswd" is:"file"`

	// Realm, of basic, is what a browser calls what the password is for. Left out:
	// the name of the credential.
	Realm string `yaml:"realm"`

	// Issuer, of jwt, is what iss of a token has to be.
	Issuer string `yaml:"issuer"`

	// Audience, of jwt, is what aud of a token has to be, or one of several.
	Audience []string `yaml:"audience"`

	// JWKS, of jwt, has the issuer's public keys (RFC 7517): a file, or where they
	// are fetched from. A token with a key that is not among them has a URL asked
	// once more, twice a minute at most.
	JWKS *Source `yaml:"jwks" want:"a file, an https:// or an s3:// URL"`

	// Refresh, of jwt, is how often, at least, jwks is asked for by URL. Default 5m.
	Refresh time.Duration `yaml:"refresh" default:"5m" range:"1s..168h"`

	// Algorithms, of jwt, are those that tokens may be signed with, as far as the
	// keys are for them: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384,
	// ES512 or EdDSA. Left out: all of these.
	Algorithms []string `yaml:"algorithms" one:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA"`

	// TokenType, of jwt, is what typ in the header of a token has to be, such as
	// at+jwt (RFC 9068). Left out: anything.
	TokenType string `yaml:"token_type" is:"token"`

	// Leeway, of jwt, is how far the clock of the issuer may be off. Default 30s.
	Leeway time.Duration `yaml:"leeway" default:"30s" range:"0s..5m"`

	// Claims, of jwt, are what else a token has to say; all of it.
	Claims []Claim `yaml:"claims"`

	// SubjectClaim, of jwt, is the claim that says who it is. Default sub.
	SubjectClaim string `yaml:"subject_claim" default:"sub"`

	// Scheme, of jwt, is the word before the token. Left out: Bearer in the field
	// Authorization (RFC 6750), none in others.
	Scheme string `yaml:"scheme" is:"token"`

	// CertificateBound, of jwt, says whether tokens belong to a certificate, the
	// connection's (RFC 8705 section 3): required; or if_present, where only those
	// do that say so, by cnf. Default if_present.
	CertificateBound string `yaml:"certificate_bound" one:"required|if_present" default:"if_present"`
}

// A Claim is something that a token has to say.
type Claim struct {
	// Name is that of the claim, such as scope.
	Name string `yaml:"name,required"`

	// Values are what it may be; one is enough. Of a list that it is, or of the words
	// of scope, one has to be among them.
	Values []string `yaml:"values,required"`
}

// A Requirement is something that has to hold of a request. It is written as a
// word alone, or with one of its keys.
type Requirement struct {
	// Name is client_certificate, which a client has that a trust store has
	// verified, or the name of a credential. Empty with one of the keys.
	Name string `yaml:",alone" is:"name"`

	// AnyOf are requirements of which one has to hold.
	AnyOf []Requirement `yaml:"any_of"`

	// AllOf are requirements all of which have to hold.
	AllOf []Requirement `yaml:"all_of"`
}

// ClientCertificate is the word for a verified certificate in a Requirement.
const ClientCertificate = "client_certificate"

// What a requirement may take: it is looked at for every request.
const (
	deepest    = 4
	mostWithin = 16
)

// requirement checks what is required at path, of requests to l.
func (c *checker) requirement(list []Requirement, path string, l *Listener) {
	left := mostWithin
	for i := range list {
		c.required(&list[i], fmt.Sprintf("%s[%d]", path, i), l, deepest, &left)
	}
	if left < 0 {
		c.fault(path, fmt.Sprintf("%d names", mostWithin-left), fmt.Sprintf("at most %d", mostWithin), "each is looked at for every request")
	}
}

func (c *checker) required(r *Requirement, path string, l *Listener, depth int, left *int) {
	if c.doc.Refused(path) {
		return
	}
	if len(r.AnyOf) > 0 && len(r.AllOf) > 0 {
		c.fault(path, "any_of with all_of", "one of the two", "a requirement of its own for each: both have to hold")
		return
	}
	if parts, key := r.parts(); parts != nil {
		if depth == 1 {
			c.fault(path+"."+key, "one more within", fmt.Sprintf("at most %d within each other", deepest), "")
			return
		}
		for i := range parts {
			c.required(&parts[i], fmt.Sprintf("%s.%s[%d]", path, key, i), l, depth-1, left)
		}
		return
	}
	*left--
	switch {
	case r.Name == "":
		c.fault(path, "a mapping without keys", "client_certificate, the name of a credential, any_of or all_of", "")
	case r.Name == ClientCertificate:
		if !l.verifies() {
			c.fault(path, ClientCertificate, "a listener that verifies certificates", "it could never hold: client_auth: {mode: optional, trust_store: NAME} asks for one")
		}
	case l.Protocol == "tls" || l.Protocol == "tcp":
		c.fault(path, quoted(r.Name)+" with protocol "+l.Protocol, ClientCertificate, "only a request of HTTP can show something else")
	default:
		c.refer(path, r.Name, c.credentials, "credential", ClientCertificate)
	}
}

// parts returns what r is made of, and under which key.
func (r *Requirement) parts() ([]Requirement, string) {
	if len(r.AllOf) > 0 {
		return r.AllOf, "all_of"
	}
	return r.AnyOf, "any_of"
}

// verifies reports whether the clients of some name can have a verified certificate.
func (l *Listener) verifies() bool {
	verifies := func(a *ClientAuth) bool {
		return a.Mode != countersign.ClientAuthOff && a.Mode != countersign.ClientAuthPassthrough
	}
	return verifies(&l.ClientAuth) || slices.ContainsFunc(l.ServerNames, func(n ServerName) bool { return verifies(&n.ClientAuth) })
}

// checkOverheard warns of secrets that travel where others may listen.
func (l *Listener) checkOverheard(c *checker, path string) {
	host, _, ok := splitAddress(l.Address)
	if l.Protocol == "http" && l.asks() && ok && !host.IsLoopback() && !l.proxied() {
		c.doc.Report(c.Warn(path+".protocol", "http, where requests show credentials", "https, or a loopback address", "whoever listens on the way can use them"))
	}
}

// asks reports whether requests to l may have to show something, so that targets
// can be told who it was.
func (l *Listener) asks() bool {
	return len(l.Require) > 0 || slices.ContainsFunc(l.Rules, func(r Rule) bool { return len(r.Require) > 0 })
}

// ofType are the keys of a credential that only one type has, and whether it needs them.
var ofType = []struct {
	key, typ string
	needed   bool
	want     string
}{
	{"keys", "api_key", true, "a file with one ID:SHA256 a line"},
	{"htpasswd", "basic", true, "a file as htpasswd -B writes it"},
	{"realm", "basic", false, ""},
	{"issuer", "jwt", true, "the iss of the tokens, such as https://id.example.com/"},
	{"audience", "jwt", true, "the aud of the tokens"},
	{"jwks", "jwt", true, "a file, an https:// or an s3:// URL"},
	{"refresh", "jwt", false, ""},
	{"algorithms", "jwt", false, ""},
	{"token_type", "jwt", false, ""},
	{"leeway", "jwt", false, ""},
	{"claims", "jwt", false, ""},
	{"subject_claim", "jwt", false, ""},
	{"scheme", "jwt", false, ""},
	{"certificate_bound", "jwt", false, ""},
}

func (cr *Credential) check(c *checker, path string) {
	if cr.Name == ClientCertificate {
		c.fault(path+".name", quoted(cr.Name), "another name", "in require it is a verified certificate")
	}
	if c.doc.Refused(path+".type") || cr.Type == "" {
		return
	}
	for _, k := range ofType {
		has := c.doc.Has(path + "." + k.key)
		switch {
		case has && k.typ != cr.Type:
			c.fault(path+"."+k.key, k.key+" with type "+cr.Type, "", "leave it out, or use type "+k.typ)
		case !has && k.typ == cr.Type && k.needed:
			c.fault(path+"."+k.key, "nothing", k.want, "type "+cr.Type+" needs it")
		}
	}
	switch header := strings.ToLower(cr.Header); {
	case cr.Type == "basic" && header != "" && header != "authorization":
		c.fault(path+".header", quoted(cr.Header), "Authorization", "the header of basic is always the same (RFC 7617): leave it out")
	case strings.HasPrefix(foldHeader(header), "x-auth-"):
		c.fault(path+".header", quoted(cr.Header), "another header", "what clients send as X-Auth-Subject and the like is removed: it is what targets are told")
	}
	c.quotable(cr.Realm, path+".realm")
	c.keySet(cr, path)
}

// quotable demands a text that can stand in a quoted string of a header.
func (c *checker) quotable(s, path string) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		c.fault(path, quoted(s), "printable ASCII without quotes", "")
	}
}

// keySet checks where a credential's public keys are.
func (c *checker) keySet(cr *Credential, path string) {
	at := path + ".jwks"
	if cr.JWKS == nil || cr.JWKS.URL == "" || c.doc.Refused(at) || c.doc.Refused(at+".url") {
		return
	}
	s := *cr.JWKS
	if s.Points() {
		c.fault(at, quoted("cdp"), bundleForms, "./cdp is a file of that name")
		return
	}
	c.placed(s, at)
	if s.Remote() {
		c.fetched(s, at)
	} else if c.doc.Has(path + ".refresh") {
		c.doc.Report(c.Warn(path+".refresh", "how often nothing is asked for", "", "files are read when they change, only URLs are asked for"))
	}
}

// Placed is the header that has the credential, with the word that precedes it.
func (cr *Credential) Placed() (header, word string) {
	header, word = cr.Header, cr.Scheme
	switch {
	case cr.Type == "api_key" && header == "":
		header = "X-Api-Key"
	case header == "":
		header = "Authorization"
	}
	switch {
	case cr.Type == "basic":
		word = "Basic"
	case cr.Type == "jwt" && word == "" && strings.EqualFold(header, "Authorization"):
		word = "Bearer"
	}
	return header, word
}
