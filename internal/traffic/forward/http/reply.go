package http

import (
	"countersign.dev"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/template"
	"countersign.dev/internal/wire/http1"
)

// Reply answers the request as the granted action says, in the place of a target.
// Its content is not waited for. A zero Grant is refused, and so is one for anything
// else.
func (e *Exchange) Reply(t *Terms) Result {
	res := &e.result
	*res = Result{}
	e.terms, e.out, e.switching, e.challenge = *t, e.out[:0], false, nil
	action := t.Grant.Action()
	reply := action.Reply
	if !t.Grant.Given() || reply == nil {
		res.Denial = countersign.Deny(countersign.StageForward, countersign.CredentialNotProven,
			"a reply was asked for without a grant; this is a fault in countersign, please report it")
		res.Unread = e.Request.Body != http1.NoBody
		return *res
	}
	if res.Denial = e.takeBody(); res.Denial == nil {
		e.reply(&action, reply)
	}
	e.sink.measure(e)
	if !e.body.complete { // what is left of it would be taken for the next request
		res.Unread, res.KeepAlive = true, false
	}
	return *res
}

func (e *Exchange) reply(action *route.Action, reply *route.Reply) {
	res := &e.result
	a := refusal{answer: answer{status: reply.Status}, kind: reply.Kind, body: reply.Body, own: true, lasting: true}
	a.closing = !e.body.complete || e.terms.Last || !e.Request.KeepAlive || e.client.closing.Load()
	if reply.Location != nil {
		var v template.Values
		e.values(action.Rule, &v)
		e.made = reply.Location.Append(e.made[:0], &v)
		res.Location = e.made
		a.fields = [][2]string{{"Location", string(e.made)}}
	}
	err := e.sink.refuse(e, &a)
	res.Answered, res.Status, res.Answering = true, a.status, e.clock
	if err != nil {
		res.Denial = countersign.Deny(countersign.StageForward, countersign.ClientClosed, "the client did not take the answer (%v)", err)
	}
	res.KeepAlive = !a.closing && err == nil
}

// Drop ends the exchange without an answer, and with it the connection, once those
// beside it have ended.
func (e *Exchange) Drop() {
	e.tick()
	e.sink.refuse(e, &refusal{silent: true, closing: true})
}

// values are what variables of r's templates stand for.
func (e *Exchange) values(r *route.Rule, v *template.Values) {
	v.Protocol, v.Port = "http", e.terms.Port
	if e.client.tls {
		v.Protocol = "https"
	}
	e.scratch = r.Values(v, e.Request, e.scratch)
	if len(v.Host) == 0 { // HTTP/1.0 need not say
		v.Host = condition.HostOf([]byte(e.client.conn.LocalAddr().String()))
	}
}
