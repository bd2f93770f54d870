package condition

import (
	"countersign.dev/internal/traffic/route/pattern"
	"countersign.dev/internal/wire/http1"
)

// A part is one kind of condition.
type part uint8

const (
	met part = iota
	partHost
	partPath
	partMethod
	partSource
	partClient
	partHeader
	partQuery
	partNot
)

// Meets reports whether q meets c, with path in the place of the request's: nil is met
// by everything. The Notes are those of q; where that has no request, neither has it
// a path, or notes.
func (c *Set) Meets(q *Question, n *Notes, path []byte) bool {
	if c == nil {
		return true
	}
	p, _ := c.unmet(q, n, path)
	return p == met
}

// unmet returns the first part of c that is not met, met if all are, and which of
// several of its kind. What costs more comes later, and regular expressions last:
// they are asked only if all else is met.
func (c *Set) unmet(q *Question, n *Notes, path []byte) (part, int) {
	left := false // a regular expression may decide
	http := q.Request != nil
	if http && len(c.Path) > 0 {
		if yes, open := cheap(c.Path, path); !yes && !open {
			return partPath, 0
		} else if !yes {
			left = true
		}
	}
	if len(c.Host) > 0 {
		yes, open := c.hostCheap(q)
		if !yes && !open {
			return partHost, 0
		}
		left = left || !yes
	}
	if http && len(c.Method) > 0 && !c.method(q) {
		return partMethod, 0
	}
	if len(c.Source) > 0 && !c.source(q) {
		return partSource, 0
	}
	if c.Client != nil && c.Client.unmet(q) != "" {
		return partClient, 0
	}
	if http {
		for i := range c.Header {
			if !n.header(q, &c.Header[i]) {
				return partHeader, i
			}
		}
		for i := range c.Query {
			if !n.queries(q, &c.Query[i]) {
				return partQuery, i
			}
		}
	}
	if left {
		switch {
		case http && len(c.Path) > 0 && !takesBytes(c.Path, path):
			return partPath, 0
		case len(c.Host) > 0 && !c.hostTakes(q):
			return partHost, 0
		}
	}
	if c.Not != nil && c.Not.Meets(q, n, path) {
		return partNot, 0
	}
	return met, 0
}

// cheap asks the patterns that are no regular expressions; open: one is left.
func cheap(patterns []*pattern.Pattern, text []byte) (yes, open bool) {
	for _, p := range patterns {
		if p.Costly() {
			open = true
		} else if p.Match(text) {
			return true, false
		}
	}
	return false, open
}

func takesBytes(patterns []*pattern.Pattern, text []byte) bool {
	for _, p := range patterns {
		if p.Match(text) {
			return true
		}
	}
	return false
}

func (c *Set) hostCheap(q *Question) (yes, open bool) {
	if q.Request != nil {
		return cheap(c.Host, q.Host())
	}
	for _, p := range c.Host {
		if p.Costly() {
			open = true
		} else if p.MatchString(q.ServerName) {
			return true, false
		}
	}
	return false, open
}

func (c *Set) hostTakes(q *Question) bool {
	if q.Request != nil {
		return takesBytes(c.Host, q.Host())
	}
	return takes(c.Host, q.ServerName)
}

func (c *Set) method(q *Question) bool {
	for _, m := range c.Method {
		if m == string(q.Request.Method) {
			return true
		}
	}
	return false
}

func (c *Set) source(q *Question) bool {
	for _, p := range c.Source {
		if p.Contains(q.Source) {
			return true
		}
	}
	return false
}

func (n *Notes) header(q *Question, h *Named) bool {
	return n.named(q.Request, h, func(value []byte) bool { return takesBytes(h.Values, value) })
}

func (n *Notes) queries(q *Question, want *Named) bool {
	for _, p := range n.pairs(q.Request) {
		if http1.FoldEqual(p.name, want.Name) && takesBytes(want.Values, p.value) {
			return true
		}
	}
	return false
}
