package publish

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/credential/apikey"
	"countersign.dev/internal/traffic/credential/basic"
	"countersign.dev/internal/traffic/credential/jwt"
)

// A compiledCredential is a credential with what it was made of. One that is made
// of the same stays the same, with what it has verified.
type compiledCredential struct {
	*credential.Credential
	of [sha256.Size]byte
}

// credentials compiles what require can name.
func (c *compiler) credentials() {
	for i := range c.cfg.Credentials {
		cr, path := &c.cfg.Credentials[i], fmt.Sprintf("credentials[%d]", i)
		data, file, ok := c.secrets(cr, path)
		if !ok {
			continue
		}
		made := compiledCredential{of: madeOf(cr, data)}
		before := len(c.faults)
		scheme := c.scheme(cr, path, file, data)
		if scheme == nil || c.faults[before:].Err() != nil {
			continue
		}
		header, word := cr.Placed()
		made.Credential = &credential.Credential{
			Name: cr.Name, Type: cr.Type, Forwarded: cr.ForwardCredentials, Scheme: scheme,
			Header: strings.ToLower(header), Word: strings.ToLower(word),
		}
		if old := c.options.InForce; old != nil && old.Credentials[cr.Name].Credential != nil && old.Credentials[cr.Name].of == made.of {
			made = old.Credentials[cr.Name]
		}
		c.draft.Credentials[cr.Name] = made
	}
}

// madeOf is a digest of everything that counts.
func madeOf(cr *config.Credential, data []byte) (sum [sha256.Size]byte) {
	flat, keys := *cr, config.Source{}
	if flat.JWKS != nil {
		keys, flat.JWKS = *flat.JWKS, nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "%#v\n%#v\n", flat, keys)
	h.Write(data)
	return [sha256.Size]byte(h.Sum(nil))
}

// secrets returns what is in the file of a credential, and how that is called.
func (c *compiler) secrets(cr *config.Credential, path string) (data []byte, file string, ok bool) {
	switch cr.Type {
	case "api_key":
		data, ok = c.private(path+".keys", cr.Keys, apikey.MaxSize)
		return data, cr.Keys, ok
	case "basic":
		data, ok = c.private(path+".htpasswd", cr.Htpasswd, basic.MaxSize)
		return data, cr.Htpasswd, ok
	}
	if cr.JWKS == nil {
		return nil, "", false
	}
	data, ok = c.all(path+".jwks", *cr.JWKS, jwt.MaxSize)
	return data, name(*cr.JWKS), ok
}

// private returns the content of a file that is nobody else's business. It may be
// empty: whoever takes the last line away means it.
func (c *compiler) private(path, file string, limit int64) ([]byte, bool) {
	f, ok := c.open(path, file)
	if !ok {
		return nil, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		c.unreadable(path, file, err)
		return nil, false
	}
	if int64(len(data)) > limit {
		c.tooLarge(path, file, limit)
		return nil, false
	}
	c.secret(path, file)
	return data, true
}

// secret warns of a file that everybody can read.
func (c *compiler) secret(path, file string) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o007 != 0 {
		c.warn(path, fmt.Sprintf("%s, which every user of this machine can read (mode %04o)", file, info.Mode().Perm()),
			"mode 0600", "chmod 600 "+file)
	}
}

// scheme compiles one credential; nil if there is a fault.
func (c *compiler) scheme(cr *config.Credential, path, file string, data []byte) credential.Scheme {
	switch cr.Type {
	case "api_key":
		keys, faults := apikey.Parse(cr.Name, data)
		for _, f := range faults {
			c.fault(path+".keys", fmt.Sprintf("%s:%d: %s", file, f.Line, f.Found), f.Want, "")
		}
		c.nobody(path+".keys", file, "key", keys.Len(), len(faults))
		return keys
	case "basic":
		realm := cr.Realm
		if realm == "" {
			realm = cr.Name
		}
		users, faults := basic.Parse(realm, data, c.options.Turns)
		for _, f := range faults {
			found := fmt.Sprintf("%s:%d: %s", file, f.Line, f.Found)
			if f.Warning {
				c.warn(path+".htpasswd", found, f.Want, f.Hint)
			} else {
				c.fault(path+".htpasswd", found, f.Want, f.Hint)
			}
		}
		c.nobody(path+".htpasswd", file, "user", users.Len(), len(faults))
		return users
	}
	keys, err := jwt.ParseKeys(data)
	if err != nil {
		c.fault(path+".jwks", file+": "+err.Error(), "a JWK set with the public keys of the issuer", "")
		return nil
	}
	header, word := cr.Placed()
	cfg := jwt.Config{
		Name: cr.Name, Issuer: cr.Issuer, Audience: cr.Audience, Keys: keys, Type: cr.TokenType, Leeway: cr.Leeway,
		SubjectClaim: cr.SubjectClaim, Bound: cr.CertificateBound == "required", Algorithms: cr.Algorithms,
		Bearer: strings.EqualFold(header, "Authorization") && strings.EqualFold(word, "Bearer"),
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = jwt.Algorithms()
	}
	for _, claim := range cr.Claims {
		cfg.Claims = append(cfg.Claims, jwt.Claim{Name: claim.Name, Values: claim.Values})
	}
	if cr.JWKS.Remote() && c.options.Rotations != nil {
		cfg.Renew = c.options.Rotations.of(cr.JWKS.URL)
	}
	return jwt.New(cfg)
}

func (c *compiler) nobody(path, file, what string, there, faults int) {
	if there+faults == 0 {
		c.warn(path, file+", which has no "+what, "", "nobody is let in by it")
	}
}

// requirement compiles what has to hold; nil: nothing.
func (c *compiler) requirement(list []config.Requirement) *credential.Requirement {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return c.required(&list[0])
	}
	return credential.AllOf(c.requiredEach(list)...)
}

func (c *compiler) requiredEach(list []config.Requirement) []*credential.Requirement {
	var all []*credential.Requirement
	for i := range list {
		all = append(all, c.required(&list[i]))
	}
	return all
}

func (c *compiler) required(r *config.Requirement) *credential.Requirement {
	switch {
	case len(r.AnyOf) > 0:
		return credential.AnyOf(c.requiredEach(r.AnyOf)...)
	case len(r.AllOf) > 0:
		return credential.AllOf(c.requiredEach(r.AllOf)...)
	case r.Name == config.ClientCertificate:
		return credential.ClientCertificate()
	}
	if made, ok := c.draft.Credentials[r.Name]; ok {
		return credential.Shown(made.Credential)
	}
	return credential.AnyOf() // it has faults, and until they are mended it cannot hold
}

// sameCredentials reports whether two drafts have the same credentials.
func sameCredentials(a, b *Draft) bool {
	names := func(d *Draft) (all []string) {
		for name := range d.Credentials {
			all = append(all, name)
		}
		slices.Sort(all)
		return all
	}
	if !slices.Equal(names(a), names(b)) {
		return false
	}
	for name, made := range a.Credentials {
		if b.Credentials[name].Credential != made.Credential {
			return false
		}
	}
	return true
}
