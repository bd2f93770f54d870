package route

import (
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/reading"
	"countersign.dev/internal/traffic/route/template"
	"countersign.dev/internal/wire/http1"
)

// A Reply is the answer to every request that is not a target's to answer.
type Reply struct {
	Status int
	// Location is where a redirect sends the client; nil: it is none.
	Location *template.Template
	// Kind is the Content-Type of Body; "" with an empty one.
	Kind string
	Body []byte
}

// A Rewrite changes what a target is asked for; nil parts stay as they are.
type Rewrite struct {
	Host *template.Template
	// Path may have a query; else that of the request stays.
	Path *template.Template
}

// Values are what variables stand for, in a template of r's: of the path as it is
// resolved. buf is where it is written, and returned to be used again. r may be nil.
func (r *Rule) Values(v *template.Values, q *http1.Request, buf []byte) []byte {
	v.Host, v.Path, v.Query = condition.HostOf(q.Host), q.Path, q.Query
	if !reading.Plain(q.Path) {
		spelled := reading.AppendSpelled(buf[:0], q.Path)
		buf = reading.AppendResolved(spelled, spelled)
		v.Path = buf[len(spelled):]
	}
	if r == nil || r.When == nil {
		return buf
	}
	for _, p := range r.When.Path {
		if open, ok := p.Capture(v.Path); ok {
			v.PathOpen = open
			break
		}
	}
	for _, p := range r.When.Host {
		if open, ok := p.Capture(v.Host); ok {
			v.HostOpen = open
			break
		}
	}
	return buf
}
