package credential

import (
	"context"
	"slices"

	"countersign.dev/internal/wire/http1"
)

// Evidence is what was found out about one request, because it takes longer than
// deciding may.
type Evidence struct {
	// Granted says that the request was let in before, and is judged again because
	// what it has shown may have ended. Nobody tries anything: no failure counts, and
	// it does not matter how many others had.
	Granted bool

	fields  []http1.Field
	at      Circumstances
	pending []*Credential
	results []result
}

type result struct {
	of      *Credential
	subject string
	failed  *Failure
}

// Pending reports whether something has to be verified before there is an answer.
func (e *Evidence) Pending() bool { return len(e.pending) > 0 }

// Resolve verifies what has to be. It may take long.
func (e *Evidence) Resolve(ctx context.Context) {
	for _, c := range e.pending {
		shown, _ := c.find(e.fields)
		subject, failed := c.Scheme.Verify(ctx, shown, e.at)
		e.results = append(e.results, result{c, subject, failed})
	}
	e.pending = e.pending[:0]
}

// Release forgets the request, but for what was found out about it.
func (e *Evidence) Release() { e.fields = nil }

// about returns what was verified of c; done is false if nothing was.
func (e *Evidence) about(c *Credential) (subject string, done bool, failed *Failure) {
	if e == nil {
		return "", false, nil
	}
	if i := slices.IndexFunc(e.results, func(r result) bool { return r.of == c }); i >= 0 {
		return e.results[i].subject, true, e.results[i].failed
	}
	return "", false, nil
}

func (e *Evidence) need(c *Credential) {
	if e != nil && !slices.Contains(e.pending, c) {
		e.pending = append(e.pending, c)
	}
}
