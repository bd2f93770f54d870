package ocsp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"time"

	"countersign.dev/internal/traffic/verify/revocation/ocsp"
)

// A responder is what is known of one URL. Its fields are under the Asker's lock.
type responder struct {
	slots    chan struct{}
	posts    bool // it does not take GET
	row      int  // failures in a row
	until    time.Time
	probing  bool
	last     error
	told     time.Time // when the log was told of a failure; zero: all is well
	answered time.Time
	outcomes map[string]uint64
}

const (
	// patience is how many failures in a row are chance.
	patience = 3
	// A responder that fails is left alone for a second, then longer and longer.
	leastRest, mostRest = time.Second, time.Minute
	// mostResponders bounds the URLs that are known.
	mostResponders = 256
	// remindAfter is how often the log is told of a responder that goes on failing.
	remindAfter = 10 * time.Minute
)

// The outcomes of a request, beside the statuses of answers.
const (
	outcomeFailed  = "failed"  // no response: the network, HTTP, or time
	outcomeRefused = "refused" // the responder says that it cannot, or does not want to
	outcomeInvalid = "invalid" // a response that does not count
	outcomeSkipped = "skipped" // it was not asked, having failed just before
)

// name is a URL as it may be told.
func name(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(no URL)"
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return u.String()
}

// askOne asks one responder about s. With an error, retry is when that is worth
// trying again.
func (a *Asker) askOne(ctx context.Context, l *Line, s *subject, u string) (answer ocsp.Answer, retry time.Time, err error) {
	r, retry, err := a.enter(u)
	if err != nil {
		return ocsp.Answer{}, retry, err
	}
	answer, outcome, err := a.exchange(ctx, l, s, r, u)
	if a.ctx.Err() != nil {
		return ocsp.Answer{}, time.Time{}, a.ctx.Err()
	}
	return answer, a.left(r, u, outcome, err), err
}

// enter returns the responder, unless it is left alone.
func (a *Asker) enter(u string) (*responder, time.Time, error) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.responders[u]
	switch {
	case r == nil && len(a.responders) >= mostResponders:
		return nil, now.Add(mostRest), fmt.Errorf("it is one too many: %d are known", mostResponders)
	case r == nil:
		r = &responder{slots: make(chan struct{}, eachAtOnce), outcomes: map[string]uint64{}}
		a.responders[u] = r
	case r.row >= patience && (now.Before(r.until) || r.probing):
		r.outcomes[outcomeSkipped]++
		at := r.until
		if r.probing {
			at = now.Add(failedFor)
		}
		return nil, at, fmt.Errorf("it failed %d times in a row and is asked again in %v: %w", r.row, max(at.Sub(now), 0).Round(100*time.Millisecond), r.last)
	}
	r.probing = r.row >= patience
	return r, time.Time{}, nil
}

// left notes how a request went, and returns when a failed one is worth repeating.
func (a *Asker) left(r *responder, u, outcome string, err error) time.Time {
	now := time.Now()
	tell := func() {} // the log, which may be slow
	defer func() { tell() }()
	a.mu.Lock()
	defer a.mu.Unlock()
	r.outcomes[outcome]++
	r.probing = false
	if outcome != outcomeFailed && outcome != outcomeRefused {
		// What is wrong with a response about one certificate is not wrong with all.
		if !r.told.IsZero() && outcome != outcomeInvalid {
			tell = func() { a.cfg.Logger.Info("an OCSP responder answers again", "responder", name(u)) }
			r.told = time.Time{}
		}
		r.row, r.last = 0, nil
		if err == nil {
			r.answered = now
		}
	} else {
		r.row++
		r.last = err
		if r.row >= patience {
			rest := min(leastRest<<min(r.row-patience, 10), mostRest)
			r.until = now.Add(jitter(rest))
		}
	}
	if err == nil {
		return time.Time{}
	}
	if now.Sub(r.told) > remindAfter {
		tell = func() {
			a.cfg.Logger.Warn("an OCSP responder does not answer as it should", "responder", name(u), "error", err)
		}
		r.told = now
	}
	if r.row >= patience {
		return r.until
	}
	return now.Add(failedFor)
}

// exchange makes one request, and checks the response.
func (a *Asker) exchange(ctx context.Context, l *Line, s *subject, r *responder, u string) (answer ocsp.Answer, outcome string, err error) {
	for _, slots := range []chan struct{}{r.slots, a.slots} {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return answer, outcomeFailed, fmt.Errorf("so many requests are under way that this one did not have its turn within %v", l.settings.Timeout)
		}
	}
	q := ocsp.Question{Issuer: s.issuer, Serial: s.serial}
	if l.settings.Nonce {
		q.Nonce = make([]byte, 32) // RFC 9654 section 2.1
		rand.Read(q.Nonce)
	}
	request, err := q.Request()
	if err != nil {
		return answer, outcomeInvalid, err
	}
	response, err := a.carry(ctx, l, r, u, request)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("it did not answer within %v (revocation.ocsp.timeout)", l.settings.Timeout)
		}
		return answer, outcomeFailed, err
	}
	now := time.Now()
	answer, err = q.Check(response, now)
	if err != nil {
		if refused, ok := errors.AsType[*ocsp.RefusalError](err); ok && refused.Temporary() {
			return answer, outcomeRefused, err
		}
		return answer, outcomeInvalid, err
	}
	answer.Responder = name(u)
	answer.Again = again(&answer, now)
	return answer, string(answer.Status), nil
}
