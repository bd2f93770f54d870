package credential

import (
	"slices"

	"countersign.dev/internal/wire/http1"
)

// A Requirement is what must hold of a request: a tree with certificates and
// credentials at its ends. It is immutable. nil requires nothing; the zero value
// cannot hold.
type Requirement struct {
	certificate bool
	credential  *Credential
	parts       []*Requirement
	any         bool // of parts one is enough
}

// ClientCertificate is a Requirement that holds for clients with a verified
// certificate.
func ClientCertificate() *Requirement { return &Requirement{certificate: true} }

// Shown is a Requirement that holds for requests that show c.
func Shown(c *Credential) *Requirement { return &Requirement{credential: c} }

// AnyOf is a Requirement that holds if one of parts does; of none, it cannot.
func AnyOf(parts ...*Requirement) *Requirement { return &Requirement{parts: parts, any: true} }

// AllOf is a Requirement that holds if each of parts does; of none, it cannot.
func AllOf(parts ...*Requirement) *Requirement { return &Requirement{parts: parts} }

// Withholds reports whether targets are not to see the field: a secret that was
// asked for here ends here, whether or not it was what counted.
func (r *Requirement) Withholds(fl *http1.Field) bool {
	if r == nil {
		return false
	}
	if c := r.credential; c != nil {
		return !c.Forwarded && c.carried(fl)
	}
	for _, part := range r.parts {
		if part.Withholds(fl) {
			return true
		}
	}
	return false
}

// credentials appends those that r names to all, each once.
func (r *Requirement) credentials(all []*Credential) []*Credential {
	if r == nil {
		return all
	}
	if c := r.credential; c != nil && !slices.Contains(all, c) {
		all = append(all, c)
	}
	for _, part := range r.parts {
		all = part.credentials(all)
	}
	return all
}
