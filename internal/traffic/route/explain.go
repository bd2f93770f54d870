package route

import (
	"countersign.dev"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/reading"
)

// A Finding is what a rule says to one request.
type Finding struct {
	Rule  *Rule
	Takes bool
	// Condition is the first one that is not met, as the configuration calls it;
	// Found is what the request has instead of what is Wanted. Empty if the rule takes
	// the request.
	Condition, Found, Wanted string
}

// Explain says what each rule finds, up to the one that takes what q asks, or to the
// last. The Denial is that of Match.
func (r *Rules) Explain(q *condition.Question) ([]Finding, *countersign.Denial) {
	if r == nil {
		return nil, nil
	}
	if _, denial := r.match(q); denial != nil {
		return nil, denial
	}
	n, path := condition.TakeNotes(r.headers), []byte(nil)
	defer n.GiveBack()
	if q.Request != nil {
		path = q.Request.Path
		if r.paths {
			path = reading.Resolved(path)
		}
	}
	var all []Finding
	for i := range r.list {
		rule := &r.list[i]
		if rule.Priority == 0 {
			break // the default, in the form of a rule
		}
		f := Finding{Rule: rule}
		f.Condition, f.Found, f.Wanted = rule.When.Explain(q, n, path)
		f.Takes = f.Condition == ""
		all = append(all, f)
		if f.Takes {
			break
		}
	}
	return all, nil
}
