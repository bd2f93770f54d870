package http

import (
	"countersign.dev"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/forward/upstream/shares"
	"countersign.dev/internal/wire/http1"
)

// How a target is chosen, and what the group learns of the choice.

// asker says for whom a target of group is picked.
func (e *Exchange) asker(group *upstream.Group) (a upstream.Asker, keep bool) {
	a = e.terms.Asker
	if name := group.HashedHeader(); name != "" {
		for i := range e.Request.Fields {
			if fl := &e.Request.Fields[i]; http1.FoldEqual(fl.Name, name) {
				a.Header = fl.Value
				break
			}
		}
	}
	if c := group.Cookie(); c != nil {
		a.Cookie, keep = c.Find(e.Request.Fields, e.clock)
	}
	if group.Waits() {
		a.Gone = e.leash.gone()
		a.Peer, _ = e.sink.(upstream.Peer)
	}
	return a, keep
}

// stay gives the client a cookie that leads back to t, unless it has one already
// that is good for a while.
func (e *Exchange) stay(group *upstream.Group, a *upstream.Asker, keep bool, t *upstream.Target) {
	e.cookie = e.cookie[:0]
	c := group.Cookie()
	if c == nil || keep && a.Cookie == t.Mark() {
		return
	}
	e.cookie = c.Append(e.cookie, t.Mark(), e.clock, e.client.tls)
}

// report tells t what became of the exchange with it. What went wrong on the
// client's side says nothing about the target.
func (e *Exchange) report(t *upstream.Target) {
	res := &e.result
	if res.Denial == nil {
		t.Report(res.TargetStatus)
		return
	}
	switch res.Denial.Code {
	case countersign.TargetClosed, countersign.TargetTimeout, countersign.TargetBadResponse:
		t.Report(shares.Failed)
	}
}
