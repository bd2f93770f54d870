package http

import (
	"errors"
	"net"
	"os"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// A Result is what became of an exchange.
type Result struct {
	// Denial is set when the gateway ended the exchange. If Answered is false
	// the client has not been told yet.
	Denial   *countersign.Denial
	Answered bool
	// Location is where the client was sent, Host and Rewritten what the target was
	// asked for instead; nil: nowhere, and nothing else. They are valid until the next
	// request is read.
	Location, Host, Rewritten []byte
	// Status is what the client got, TargetStatus what the target sent; 0: nothing.
	Status, TargetStatus int
	// Switched: the exchange went on as a WebSocket, or whatever was agreed upon.
	Switched bool
	// Target is the last one tried, or nil.
	Target *upstream.Target
	// KeepAlive says that the connection can carry another request.
	KeepAlive bool
	// Unread says that the client may still be sending.
	Unread bool
	// Chosen is when a target was connected, Replied when its head was there,
	// Answering when the first byte of it was about to go to the client;
	// zero if it never came to that.
	Chosen, Replied, Answering time.Time
}

// mostTargets bounds how many targets one request can be offered to; the
// configuration allows no more.
const mostTargets = 10

// Forward sends the request to a target of the granted group and the answer to
// the client. A zero Grant is refused.
func (e *Exchange) Forward(t *Terms) Result {
	res := &e.result
	*res = Result{}
	if !t.Grant.Given() {
		res.Denial = countersign.Deny(countersign.StageForward, countersign.CredentialNotProven,
			"forwarding was asked for without a grant; this is a fault in countersign, please report it")
		res.Unread = e.Request.Body != http1.NoBody
		return *res
	}
	e.terms, e.out, e.switching, e.challenge = *t, e.out[:0], false, nil
	if res.Denial = e.takeBody(); res.Denial == nil {
		action := t.Grant.Action()
		if action.Rewrite != nil {
			e.rewrite(&action)
		}
		if e.settled = e.settled[:0]; action.Settle != 0 {
			e.settled = action.Rule.Cookie.Append(e.settled, action.Settle, e.clock, e.client.tls)
		}
		e.offerAround(action.Forward)
	}
	if why := e.leash.cutFor(); why != nil && res.Denial != nil { // whatever seemed to be the matter
		res.Denial = why
	}
	e.sink.measure(e)
	if !e.body.complete { // what is left of it would be taken for the next request
		res.Unread, res.KeepAlive = true, false
	}
	return *res
}

// offerAround tries targets of the group one after the other.
func (e *Exchange) offerAround(group *upstream.Group) {
	res := &e.result
	asker, keep := e.asker(group)
	for n := range min(group.Attempts(), mostTargets) {
		target, denial := group.Pick(asker, e.tried[:n]...)
		if denial != nil {
			if n == 0 {
				res.Denial = denial
			}
			return // else the reason why the last one failed says more
		}
		e.tried[n], e.tries, res.Target = target, n+1, target
		if group.Waits() { // which may have taken a while
			e.tick()
		}
		if e.terms.Restate != nil && (n > 0 || group.Waits()) {
			if e.terms.Statement, denial = e.terms.Restate(e.terms.Grant); denial != nil {
				group.Done(target)
				res.Denial = denial
				return
			}
		}
		e.stay(group, &asker, keep, target)
		again := e.offer(target)
		group.Done(target)
		if !again {
			return
		}
	}
}

// mostRepeats bounds how often one target is asked anew after a line that was dead.
const mostRepeats = 3

// offer tries one target: over a line that is there, and over another one when
// that turns out to be dead. It returns true when another target may be tried,
// with the reason in res.Denial.
func (e *Exchange) offer(target *upstream.Target) (again bool) {
	res := &e.result
	for n := 0; ; n++ {
		l, reused, err := e.line(target, n > 0)
		if err != nil {
			res.Denial = unreachable(err)
			return true
		}
		if !reused { // it took a while
			e.tick()
		}
		res.Chosen, res.Denial = e.clock, nil
		outcome := e.over(l, reused, n < mostRepeats)
		e.leash.drop()
		l.release(outcome == clean)
		if outcome != stale {
			e.report(target)
			return outcome == unseen
		}
		// Nothing of an answer came over a line that had been idle: the target
		// closed it in the same moment. A new one tells.
	}
}

// line returns a line to the target; fresh: one that nobody used before, where
// lines are used by one exchange after the other.
func (e *Exchange) line(target *upstream.Target, fresh bool) (l line, reused bool, err error) {
	if target.HTTP2() {
		return e.lines.stream.connect(e, target)
	}
	return e.lines.conn.connect(e, target, fresh)
}

// unreachable says why there is no connection to a target; err names it.
func unreachable(err error) *countersign.Denial {
	if d := turnedAway(err); d != nil {
		return d
	}
	code := countersign.TargetConnectFailed
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		code = countersign.TargetTimeout
	}
	return countersign.Deny(countersign.StageForward, code, "%v", err)
}

// turnedAway returns what is the matter with TLS to a target; nil: nothing, or it
// is without. It may come to light after the request was sent, which the target
// has not looked at then.
func turnedAway(err error) *countersign.Denial {
	d, _ := errors.AsType[*countersign.Denial](err)
	return d
}

// An outcome is what an exchange leaves of the line to the target.
type outcome uint8

const (
	spoiled outcome = iota // not to be used again
	clean                  // the next request may use it
	stale                  // it was dead before; the request may be sent again
	unseen                 // the target did not let us in; the request may go to another one
)

// over sends the request along l and relays the answer. It returns stale only
// if it mayRepeat.
func (e *Exchange) over(l line, reused, mayRepeat bool) outcome {
	res, body := &e.result, &e.body
	e.leash.hold(l)
	whole := body.complete // else there will be nothing left of it to send again
	harmless := reused && whole && idempotent(e.Request.Method)
	repeat := func(err error) bool {
		perhaps, surely := l.repeatable(err)
		return mayRepeat && (surely && whole || perhaps && harmless) && e.leash.cutFor() == nil
	}
	sent, err := l.ask(e)
	if err != nil {
		_, unseen := l.repeatable(err)
		late := errors.Is(err, os.ErrDeadlineExceeded) && !unseen // it is there, and takes nothing
		if repeat(err) || mayRepeat && !sent && !late && (reused || unseen) && e.leash.cutFor() == nil {
			return stale
		}
		if d := turnedAway(err); d != nil {
			res.Denial = d
			return away(whole)
		}
		switch where := l.target().Address(); {
		case late:
			res.Denial = countersign.Deny(countersign.StageForward, countersign.TargetTimeout,
				"target %s did not take the request for %s (timeouts.response)", where, e.set.Wait)
			return spoiled
		case !sent:
			res.Denial = countersign.Deny(countersign.StageForward, countersign.TargetClosed,
				"target %s did not take the request: %v", where, err)
			return spoiled
		}
		// The target may have answered before it closed; read on.
	}
	e.startUpload(l)
	outcome := e.answer(l, repeat)
	if res.Denial != nil && res.Denial.Code == countersign.TargetRefusedCertificate && e.up == nil {
		return away(whole)
	}
	if up := e.up; up != nil {
		if heard := up.stop(e); !heard {
			res.KeepAlive, res.Unread = false, true
		}
		if res.Denial != nil && up.denial != nil {
			res.Denial = up.denial // it broke off the answer
		}
		if up.failed() {
			err = up.err
		}
	}
	if outcome == clean && (err != nil || !body.complete) {
		outcome = spoiled
	}
	return outcome
}

// away is what is left when the target did not let us in. There must be all of
// the request to offer it to another one.
func away(whole bool) outcome {
	if whole {
		return unseen
	}
	return spoiled
}

// idempotent reports whether a request with that method may be sent twice
// (RFC 9110 section 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}
