package route

import (
	"bytes"
	"fmt"

	"countersign.dev"
	"countersign.dev/internal/traffic/route/pattern"
	"countersign.dev/internal/traffic/route/reading"
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

// match returns the rule that takes what q asks, nil if none does.
func (r *Rules) match(q *Question) (*Rule, *countersign.Denial) {
	if q.Request == nil {
		return r.first(q, nil, nil), nil
	}
	n := r.takeNotes()
	defer n.giveBack()
	path := q.Request.Path
	if !r.paths || reading.Plain(path) {
		return r.first(q, n, path), nil
	}
	return r.matchOdd(q, n)
}

// matchOdd is match for a path that targets may read in different ways. Whichever
// they do, the same rule must take the request: else the path was made to have the
// gateway see another one than the target.
func (r *Rules) matchOdd(q *Question, n *notes) (*Rule, *countersign.Denial) {
	path := q.Request.Path
	if reading.Broken(path) {
		return nil, countersign.Deny(countersign.StageRoute, countersign.AmbiguousPath,
			"the path %q has a control character or an overlong one in it, which no two targets read alike; the listener has rules about paths", path)
	}
	n.spelled = reading.AppendSpelled(n.spelled[:0], path)
	n.resolved = reading.AppendResolved(n.resolved[:0], n.spelled)
	rule := r.first(q, n, n.resolved)
	n.lenient, n.scratch = reading.AppendLenient(n.lenient[:0], n.scratch, path)
	for _, as := range [...][]byte{n.spelled, n.lenient} {
		if bytes.Equal(as, n.resolved) {
			continue
		}
		if other := r.first(q, n, as); other != rule {
			return nil, ambiguous(path, n.resolved, rule, as, other)
		}
	}
	return rule, nil
}

// Resolved is the path that rules are asked about.
func Resolved(path []byte) []byte {
	if reading.Plain(path) {
		return path
	}
	return reading.AppendResolved(nil, reading.AppendSpelled(nil, path))
}

func ambiguous(path, one []byte, rule *Rule, another []byte, other *Rule) *countersign.Denial {
	return countersign.Deny(countersign.StageRoute, countersign.AmbiguousPath,
		"the path %q can be read as %q, which %s takes, and as %q, which %s takes; let the client send it without ., .., //, \\, ; and encoded slashes",
		path, one, rule, another, other)
}

// String names a rule for people.
func (r *Rule) String() string {
	switch {
	case r == nil || r.Priority == 0:
		return "default"
	case r.Name != "":
		return "rule " + r.Name
	}
	return fmt.Sprintf("rule %d", r.Priority)
}

// first returns the first rule whose conditions are met with that path.
func (r *Rules) first(q *Question, n *notes, path []byte) *Rule {
	for i := range r.list {
		rule := &r.list[i]
		if rule.When == nil || rule.When.meets(q, n, path) {
			return rule
		}
	}
	return nil
}

func (c *Conditions) meets(q *Question, n *notes, path []byte) bool {
	p, _ := c.unmet(q, n, path)
	return p == met
}

// unmet returns the first part of c that is not met, met if all are, and which of
// several of its kind. What costs more comes later, and regular expressions last:
// they are asked only if all else is met.
func (c *Conditions) unmet(q *Question, n *notes, path []byte) (part, int) {
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
	if c.Not != nil && c.Not.meets(q, n, path) {
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

func (c *Conditions) hostCheap(q *Question) (yes, open bool) {
	if q.Request != nil {
		return cheap(c.Host, q.host())
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

func (c *Conditions) hostTakes(q *Question) bool {
	if q.Request != nil {
		return takesBytes(c.Host, q.host())
	}
	return takes(c.Host, q.ServerName)
}

func (c *Conditions) method(q *Question) bool {
	for _, m := range c.Method {
		if m == string(q.Request.Method) {
			return true
		}
	}
	return false
}

func (c *Conditions) source(q *Question) bool {
	for _, p := range c.Source {
		if p.Contains(q.Source) {
			return true
		}
	}
	return false
}

func (n *notes) header(q *Question, h *Named) bool {
	return n.named(q.Request, h, func(value []byte) bool { return takesBytes(h.Values, value) })
}

func (n *notes) queries(q *Question, want *Named) bool {
	for _, p := range n.pairs(q.Request) {
		if http1.FoldEqual(p.name, want.Name) && takesBytes(want.Values, p.value) {
			return true
		}
	}
	return false
}
