package route

import (
	"bytes"
	"fmt"
	"sync"

	"countersign.dev"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/reading"
)

// match returns the rule that takes what q asks, nil if none does.
func (r *Rules) match(q *condition.Question) (*Rule, *countersign.Denial) {
	if q.Request == nil {
		return r.first(q, nil, nil), nil
	}
	n := condition.TakeNotes(r.headers)
	defer n.GiveBack()
	path := q.Request.Path
	if !r.paths || reading.Plain(path) {
		return r.first(q, n, path), nil
	}
	return r.matchOdd(q, n)
}

// matchOdd is match for a path that targets may read in different ways. Whichever
// they do, the same rule must take the request: else the path was made to have the
// gateway see another one than the target.
func (r *Rules) matchOdd(q *condition.Question, n *condition.Notes) (*Rule, *countersign.Denial) {
	path := q.Request.Path
	if reading.Broken(path) {
		return nil, countersign.Deny(countersign.StageRoute, countersign.AmbiguousPath,
			"the path %q has a control character or an overlong one in it, which no two targets read alike; the listener has rules about paths", path)
	}
	all := readings.Get().(*buffers)
	defer all.giveBack()
	all.spelled = reading.AppendSpelled(all.spelled[:0], path)
	all.resolved = reading.AppendResolved(all.resolved[:0], all.spelled)
	rule := r.first(q, n, all.resolved)
	all.lenient, all.scratch = reading.AppendLenient(all.lenient[:0], all.scratch, path)
	for _, as := range [...][]byte{all.spelled, all.lenient} {
		if bytes.Equal(as, all.resolved) {
			continue
		}
		if other := r.first(q, n, as); other != rule {
			return nil, ambiguous(path, all.resolved, rule, as, other)
		}
	}
	return rule, nil
}

// Buffers are for the ways in which a path may be read.
type buffers struct{ spelled, resolved, lenient, scratch []byte }

// mostKept bounds the bytes that buffers keep for the next request.
const mostKept = 8 << 10

var readings = sync.Pool{New: func() any { return new(buffers) }}

func (b *buffers) giveBack() {
	if cap(b.spelled)+cap(b.resolved)+cap(b.lenient)+cap(b.scratch) <= mostKept {
		readings.Put(b)
	}
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
func (r *Rules) first(q *condition.Question, n *condition.Notes, path []byte) *Rule {
	for i := range r.list {
		rule := &r.list[i]
		if rule.When.Meets(q, n, path) {
			return rule
		}
	}
	return nil
}
