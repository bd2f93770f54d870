package condition

import (
	"net/netip"

	"countersign.dev/internal/traffic/route/pattern"
)

// A Set is met by a request if each of its conditions is, of which each is met by one
// of its values.
type Set struct {
	Host   []*pattern.Pattern // without a port
	Path   []*pattern.Pattern // as it is spelled in one way: reading.AppendSpelled
	Method []string
	Source []netip.Prefix
	Client *Client
	Header []Named // each of which must be met
	Query  []Named
	Not    *Set // which must not be met
}

// Named is a condition on what has a name: one of the values that have it must be
// one of Values.
type Named struct {
	Name   string // a header's in lower case
	Values []*pattern.Pattern
	slot   int // of a header: Headers
}

// Headers numbers the headers that conditions are about, so that each is looked for
// once in a request.
type Headers map[string]int

// Add numbers those of c, before c is asked anything.
func (h Headers) Add(c *Set) {
	for ; c != nil; c = c.Not {
		for i := range c.Header {
			n := &c.Header[i]
			slot, known := h[n.Name]
			if !known {
				slot = len(h)
				h[n.Name] = slot
			}
			n.slot = slot
		}
	}
}
