package http

import (
	"context"
	nethttp "net/http"

	"countersign.dev"
	"countersign.dev/internal/traffic/respond"
	"countersign.dev/internal/wire/http1"
)

// Respond has the request answered within the node, by whom the grant names. Its
// content is read first, whole. A zero Grant is refused, and so is one for a
// group of targets.
func (e *Exchange) Respond(ctx context.Context, t *Terms) Result {
	res := &e.result
	*res = Result{}
	e.terms, e.out, e.switching, e.challenge = *t, e.out[:0], false, nil
	by := t.Grant.Action().Respond
	if !t.Grant.Given() || by == nil {
		res.Denial = countersign.Deny(countersign.StageForward, countersign.CredentialNotProven,
			"an answer was asked for without a grant; this is a fault in countersign, please report it")
		res.Unread = e.Request.Body != http1.NoBody
		return *res
	}
	content, denial := e.whole()
	if res.Denial = denial; denial == nil {
		ctx, cancel := context.WithTimeout(ctx, e.set.Wait)
		defer cancel()
		answer := by.Respond(ctx, e.asked(t, content))
		e.tick()
		if res.Denial = e.leash.cutFor(); res.Denial == nil {
			e.give(&answer)
		}
	}
	e.sink.measure(e)
	if !e.body.complete { // what is left of it would be taken for the next request
		res.Unread, res.KeepAlive = true, false
	}
	return *res
}

// whole reads the content of the request.
func (e *Exchange) whole() ([]byte, *countersign.Denial) {
	if denial := e.takeBody(); denial != nil {
		return nil, denial
	}
	content := append([]byte(nil), e.body.atHand...)
	if e.body.complete {
		return content, e.bounded(content)
	}
	if e.Request.Body == http1.Length && e.Request.ContentLength > respond.MaxBody {
		return nil, tooMuch(e.Request.ContentLength)
	}
	if e.Request.ExpectContinue && len(content) == 0 && e.Request.Minor > 0 {
		e.response.Reset()
		e.response.Minor, e.response.Status, e.response.Reason = 1, nethttp.StatusContinue, []byte("Continue")
		if err := e.sink.interim(e); err != nil {
			return nil, e.interrupted(err)
		}
	}
	buf := records.Get().(*[recordSize]byte)
	defer records.Put(buf)
	for !e.body.complete {
		p, done, err := e.source.pull(e, buf[:], e.set.Idle, nil)
		if err != nil {
			return nil, e.interrupted(err)
		}
		if denial := e.measure(len(p)); denial != nil {
			return nil, denial
		}
		content, e.body.complete = append(content, p...), done
		if denial := e.bounded(content); denial != nil {
			e.body.complete = false // nobody waits for the end of it
			return nil, denial
		}
	}
	return content, nil
}

func (e *Exchange) bounded(content []byte) *countersign.Denial {
	if len(content) > respond.MaxBody {
		return tooMuch(int64(len(content)))
	}
	return nil
}

func tooMuch(size int64) *countersign.Denial {
	return countersign.Deny(countersign.StageParse, countersign.BodyTooLarge,
		"the request body has %d bytes or more, the node itself takes %d", size, respond.MaxBody)
}

// asked is the request as a handler gets it: nothing of it is e's.
func (e *Exchange) asked(t *Terms, content []byte) *respond.Request {
	q := e.Request
	header := nethttp.Header{}
	for i := range q.Fields {
		header.Add(string(q.Fields[i].Name), string(q.Fields[i].Value))
	}
	return &respond.Request{Method: string(q.Method), Path: string(q.Path), Query: string(q.Query), Header: header,
		Body: content, Client: t.Grant.Client(), Chain: t.Chain, Address: e.client.address.Addr()}
}

// give sends the answer.
func (e *Exchange) give(a *respond.Answer) {
	res := &e.result
	closing := !e.body.complete || e.terms.Last || !e.Request.KeepAlive || e.client.closing.Load()
	err := e.sink.refuse(e, &refusal{answer: answer{status: a.Status}, kind: a.Kind, body: a.Body, fields: a.Fields, closing: closing, own: true})
	res.Answered, res.Status, res.Answering = true, a.Status, e.clock
	if err != nil {
		res.Denial = countersign.Deny(countersign.StageForward, countersign.ClientClosed, "the client did not take the answer (%v)", err)
	}
	res.KeepAlive = !closing && err == nil
}
