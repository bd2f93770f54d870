package http

import (
	"bytes"

	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/template"
)

// rewrite has the target asked for something else than the client has asked for.
func (e *Exchange) rewrite(action *route.Action) {
	q, w := e.Request, action.Rewrite
	var v template.Values
	e.values(action.Rule, &v)
	made := e.made[:0]
	var host, path []byte
	if w.Host != nil {
		made = w.Host.Append(made, &v)
		host = made[:len(made):len(made)]
	}
	if w.Path != nil {
		start := len(made)
		made = w.Path.Append(made, &v)
		if q.HasQuery && bytes.IndexByte(made[start:], '?') < 0 {
			made = append(append(made, '?'), q.Query...)
		}
		path = made[start:len(made):len(made)]
	}
	if e.made = made; len(host) > 0 {
		q.Host = host
	}
	if path != nil {
		q.Path, q.Query, q.HasQuery = bytes.Cut(path, []byte{'?'})
	}
	e.result.Host, e.result.Rewritten = q.Host, path
}
