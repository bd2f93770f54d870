package route

import (
	"math/rand/v2"
	"slices"
	"time"

	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/forward/sticky"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/route/condition"
)

// A Rule is what becomes of the requests that meet its conditions. It must not
// change once it is compiled.
type Rule struct {
	// Name is how logs call it; "": by its priority.
	Name string
	// Priority is its place among the rules of the listener, from 1.
	Priority int
	// When has its conditions; nil: every request meets them.
	When   *condition.Set
	Action Action
	// Metrics counts the requests that it has taken; nil: nobody counts.
	Metrics *telemetry.RuleMetrics
	// Shares are the target groups that share its requests, with their weights. Left
	// out: Action.Forward gets them, if anybody.
	Shares []Share
	// Cookie keeps a client at the share that it got first; nil: it is not kept.
	Cookie *sticky.Cookie
	total  uint32
}

// A Share is a part of the requests of a rule: one of the weights of all its shares.
type Share struct {
	Group   *upstream.Group
	Metrics *telemetry.GroupMetrics
	Weight  int
	// Mark is by what a cookie names the share; not 0.
	Mark uint64
}

// Rules are rules that are ready to be asked, in their order. They are immutable.
type Rules struct {
	list    []Rule
	headers int  // how many different ones there are conditions on
	paths   bool // whether any is about the path
}

// Compile makes rules ready; the first that takes a request decides.
func Compile(list []Rule) *Rules {
	r := &Rules{list: slices.Clone(list)}
	headers := condition.Headers{}
	for i := range r.list {
		rule := &r.list[i]
		rule.Action.Rule = rule
		for _, s := range rule.Shares {
			rule.total += uint32(s.Weight)
		}
		headers.Add(rule.When)
		for c := rule.When; c != nil; c = c.Not {
			r.paths = r.paths || len(c.Path) > 0
		}
	}
	r.headers = len(headers)
	return r
}

// List returns the rules, which must not be changed.
func (r *Rules) List() []Rule {
	if r == nil {
		return nil
	}
	return r.list
}

// action is what r has done with the request of q.
func (r *Rule) action(q *condition.Question) Action {
	a := r.Action
	if len(r.Shares) == 0 {
		return a
	}
	var s *Share
	kept := r.Cookie == nil || q.Request == nil
	if !kept {
		var mark uint64
		mark, kept = r.Cookie.Find(q.Request.Fields, time.Now())
		s = r.marked(mark)
	}
	if s == nil {
		kept = kept && r.Cookie == nil
		s = r.share(rand.Uint32N(r.total))
	}
	if a.Forward, a.Metrics = s.Group, s.Metrics; !kept && q.Request != nil {
		a.Settle = s.Mark
	}
	return a
}

// marked returns the share with that mark, if it takes requests at all.
func (r *Rule) marked(mark uint64) *Share {
	for i := range r.Shares {
		if s := &r.Shares[i]; s.Mark == mark && s.Weight > 0 {
			return s
		}
	}
	return nil
}

// share returns the share that n, which is below the total, falls into.
func (r *Rule) share(n uint32) *Share {
	for i := range r.Shares {
		w := uint32(r.Shares[i].Weight)
		if n < w {
			return &r.Shares[i]
		}
		n -= w
	}
	return &r.Shares[len(r.Shares)-1]
}
