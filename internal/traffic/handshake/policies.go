package handshake

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"countersign.dev/internal/traffic/handshake/servername"
)

// Named is a policy and the server names it is for: "api.example.com", or
// "*.example.com" for every name with exactly one label more (as RFC 9525
// section 6.3 has it for certificates).
type Named struct {
	Names  []string
	Policy *Policy
}

// Policies finds the policy of a server name. It is immutable.
type Policies struct {
	def    *Policy
	exact  map[string]*Policy
	parent map[string]*Policy // "example.com" for "*.example.com"
	all    []*Policy
}

// NewPolicies makes a lookup with def for names that named has not, and for
// clients that name none. The error joins every fault.
func NewPolicies(def *Policy, named []Named) (*Policies, error) {
	if def == nil {
		return nil, errors.New("no default policy: want one for clients that ask for no name, or for an unknown one")
	}
	p := &Policies{def: def, exact: map[string]*Policy{}, parent: map[string]*Policy{}, all: []*Policy{def}}
	var errs []error
	for _, n := range named {
		if n.Policy == nil {
			errs = append(errs, fmt.Errorf("server_names %q: no policy", n.Names))
			continue
		}
		if len(n.Names) == 0 {
			errs = append(errs, fmt.Errorf("policy %q: no server names: nobody would ever come under it", n.Policy.Name))
		}
		for _, name := range n.Names {
			errs = append(errs, p.add(name, n.Policy))
		}
		if !slices.Contains(p.all, n.Policy) {
			p.all = append(p.all, n.Policy)
		}
	}
	seen := map[string]bool{}
	for _, policy := range p.all {
		errs = append(errs, policy.validate())
		if seen[policy.Name] {
			errs = append(errs, fmt.Errorf("policy %q: two policies have this name", policy.Name))
		}
		seen[policy.Name] = true
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Policies) add(name string, policy *Policy) error {
	host, table := name, p.exact
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		host, table = rest, p.parent
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return fmt.Errorf("policy %q: server name %q: want a name without a port", policy.Name, name)
	}
	normal, err := servername.Normalize(host)
	if err != nil {
		return fmt.Errorf("policy %q: %w", policy.Name, err)
	}
	if normal == "" {
		return fmt.Errorf("policy %q: server name %q is empty", policy.Name, name)
	}
	if other, ok := table[normal]; ok && other != policy {
		return fmt.Errorf("server name %q belongs to policies %q and %q: want one", name, other.Name, policy.Name)
	}
	table[normal] = policy
	return nil
}

// For returns the policy of a server name or Host in any spelling: that of
// the exact name, else of the wildcard above it, else the default. It returns
// nil for what servername.Normalize refuses, which is nobody's policy: a comparison
// with the connection's policy fails. It does not allocate for a normal name.
func (p *Policies) For(name string) *Policy {
	normal, err := servername.Normalize(name)
	if err != nil {
		return nil
	}
	return p.lookup(normal)
}

func (p *Policies) lookup(normal string) *Policy {
	if policy, ok := p.exact[normal]; ok {
		return policy
	}
	if dot := strings.IndexByte(normal, '.'); dot >= 0 {
		if policy, ok := p.parent[normal[dot+1:]]; ok {
			return policy
		}
	}
	return p.def
}

// All returns every policy once, the default first.
func (p *Policies) All() []*Policy { return slices.Clone(p.all) }
