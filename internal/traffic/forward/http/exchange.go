package http

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// An Exchange is what a request is forwarded with.
type Exchange struct {
	// Grant says to which group, and that it may be.
	Grant authorize.Grant
	// Identity holds the rendered fields, "Name: value\r\n" each, that tell the
	// target who the client is.
	Identity []byte
	// Port is the listener's, for X-Forwarded-Port.
	Port uint16
	// Last says that the connection shall not carry another request.
	Last bool
	// Still is asked before bytes pass through a connection that has switched
	// protocols, where no further request will be: a Denial ends it. nil: never.
	// One call at a time.
	Still func() *countersign.Denial
}

// A Result is what became of an exchange.
type Result struct {
	// Denial is set when the gateway ended the exchange. If Answered is false
	// the client has not been told yet.
	Denial   *countersign.Denial
	Answered bool
	// Status is what the client got, TargetStatus what the target sent; 0: nothing.
	Status, TargetStatus int
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

// Forward sends the request that Next read to a target of the granted group
// and the answer to the client. A zero Grant is refused.
func (f *Front) Forward(x *Exchange) Result {
	res := &f.result
	*res = Result{}
	if !x.Grant.Given() {
		res.Denial = countersign.Deny(countersign.StageForward, countersign.CredentialNotProven,
			"forwarding was asked for without a grant; this is a fault in countersign, please report it")
		res.Unread = f.Request.Body != http1.NoBody
		return *res
	}
	group := x.Grant.Action().Forward
	f.out = f.appendRequest(f.out[:0], x, f.Request.ExpectContinue)
	if res.Denial = f.takeBody(); res.Denial == nil {
		f.offerAround(x, group)
	}
	if res.Denial != nil && f.cut.Load() { // whatever seemed to be the matter
		res.Denial = countersign.Deny(countersign.StageForward, countersign.ShuttingDown,
			"the connection was cut in the middle of the exchange")
	}
	if !f.body.complete { // what is left of it would be taken for the next request
		res.Unread, res.KeepAlive = true, false
	}
	return *res
}

// offerAround tries targets of the group one after the other.
func (f *Front) offerAround(x *Exchange, group *upstream.Group) {
	res := &f.result
	for n := range min(group.Attempts(), mostTargets) {
		target, denial := group.Pick(f.tried[:n]...)
		if denial != nil {
			if n == 0 {
				res.Denial = denial
			}
			return // else the reason why the last one failed says more
		}
		f.tried[n], f.tries, res.Target = target, n+1, target
		if again := f.offer(x, target); !again {
			return
		}
	}
}

// offer tries one target: over a pooled connection, and over a new one when the
// pooled one turns out to be dead. It returns true when another target may be
// tried, with the reason in res.Denial.
func (f *Front) offer(x *Exchange, target *upstream.Target) (again bool) {
	res := &f.result
	conn, reused, err := target.Get()
	for {
		if err != nil {
			res.Denial = unreachable(err)
			return true
		}
		res.Chosen, res.Denial = time.Now(), nil
		outcome := f.exchange(x, conn, reused)
		conn.Release(outcome == clean)
		if outcome != stale {
			return false
		}
		// Nothing of an answer came over a connection that had been idle: the
		// target closed it in the same moment. A new one tells.
		ctx, cancel := context.WithTimeout(context.Background(), f.set.Wait)
		conn, err = target.Dial(ctx)
		cancel()
		reused = false
	}
}

// unreachable says why there is no connection to a target; err names it.
func unreachable(err error) *countersign.Denial {
	code := countersign.TargetConnectFailed
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		code = countersign.TargetTimeout
	}
	return countersign.Deny(countersign.StageForward, code, "%v", err)
}

// An outcome is what an exchange leaves of the connection to the target.
type outcome uint8

const (
	spoiled outcome = iota // not to be used again
	clean                  // the next request may use it
	stale                  // it was dead before; the request may be sent again
)

// exchange sends what f.out holds and the rest of the body, and relays the answer.
func (f *Front) exchange(x *Exchange, conn *upstream.Conn, reused bool) outcome {
	res, body := &f.result, &f.body
	f.target.Store(conn)
	defer f.target.Store(nil)
	if f.cut.Load() {
		abort(conn)
	}
	mayRepeat := reused && body.complete && idempotent(f.Request.Method)
	n, err := writeTo(conn, f.out, f.set.Wait)
	if err != nil {
		if reused && (n == 0 || mayRepeat) && !f.cut.Load() {
			return stale
		}
		if n == 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			res.Denial = countersign.Deny(countersign.StageForward, countersign.TargetClosed,
				"target %s took %d of %d bytes of the request: %v", conn.Target().Address(), n, len(f.out), err)
			return spoiled
		}
		// The target may have answered before it closed; read on.
	}
	up := f.startUpload(conn)
	outcome := f.answer(x, conn, up, mayRepeat)
	if up != nil {
		if heard := up.stop(f); !heard {
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

// idempotent reports whether a request with that method may be sent twice
// (RFC 9110 section 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}
