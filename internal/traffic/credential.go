package traffic

import (
	"bytes"
	"context"
	"time"

	"countersign.dev"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/wire/http1"
)

// What requests show beside a certificate. Most is known at once; what takes
// longer is verified where nobody else waits, and then it is decided again.

// proofWait bounds how long a request waits for what it shows to be verified.
const proofWait = 10 * time.Second

// A showing is what is kept between the requests of a connection that have
// something to show, so that the same again costs little.
type showing struct {
	question credential.Question
	evidence credential.Evidence

	plan  *idheader.Plan
	base  []byte // the identity that was added to
	proof credential.Proof
	told  []byte // the identity with the proof
}

// shown is the question that a request puts with its fields.
func (s *session) shown(q *http1.Request, now time.Time, found *credential.Evidence) *credential.Question {
	if s.shows == nil {
		s.shows = &showing{}
	}
	if found == nil {
		found = &s.shows.evidence
	}
	s.shows.question = credential.Question{
		Now: now, Evidence: found, Source: s.from().Addr(), Most: s.listener.CredentialFailures,
	}
	if !found.Granted {
		s.shows.question.Attempts = s.node.attempts
	}
	if q != nil { // else there are bytes alone, which show nothing
		s.shows.question.Fields = q.Fields
	}
	return &s.shows.question
}

// unresolved returns what has to be verified before the decision about a request
// is the last word; nil: it is. The caller may keep it.
func unresolved(q *credential.Question) *credential.Evidence {
	if q == nil {
		return nil
	}
	q.Fields = nil // which belong to the request
	if !q.Evidence.Pending() {
		q.Evidence.Release()
		return nil
	}
	kept := *q.Evidence
	*q.Evidence = credential.Evidence{}
	return &kept
}

// prove has what a request shows verified for as long as its verdict is not the
// last word. It may take long.
func (s *session) prove(v *verdict, q *http1.Request, now time.Time) {
	if v.evidence == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.node.ctx, proofWait)
	defer cancel()
	for {
		v.evidence.Resolve(ctx)
		s.decide(v, q, now, v.evidence)
		switch {
		case v.evidence == nil:
			return
		case ctx.Err() != nil: // one configuration after the other, each with other keys
			denial := countersign.Deny(countersign.StageAuthorize, countersign.CredentialUnavailable,
				"what the request shows could not be verified within %s", proofWait)
			denial.RetryAfter = time.Second
			*v = verdict{denial: denial}
			return
		}
	}
}

// How often it is asked about a connection that switched protocols whether what its
// request has shown is good still. The answer holds for less than that, so that it
// is asked each time.
const (
	showsAnew = time.Second
	showsFor  = showsAnew / 2
)

// stillShows is still for a request that asks for another protocol, a WebSocket:
// no request will follow it, so that what it has shown is held against each
// configuration anew, and against the clock, whether bytes pass or not.
func (s *session) stillShows(q *http1.Request) func() *countersign.Denial {
	var under *snapshot.Snapshot
	var until time.Time
	return func() *countersign.Denial {
		if denial := s.still(); denial != nil {
			return denial
		}
		snap, now := s.node.current.Load(), time.Now()
		if snap == under && now.Before(until) {
			return nil
		}
		var v verdict
		s.decide(&v, q, now, &credential.Evidence{Granted: true})
		s.prove(&v, q, now)
		if v.denial == nil {
			under, until = snap, now.Add(showsFor)
		}
		return v.denial
	}
}

// attests returns what targets are told of the client that has shown p.
func (s *session) attests(p credential.Proof) ([]byte, *countersign.Denial) {
	if !p.Given() {
		return s.identity, nil
	}
	w, plan := s.shows, s.listener.Identity
	if w.told != nil && w.proof == p && w.plan == plan && bytes.Equal(w.base, s.identity) {
		return w.told, nil
	}
	told, denial := plan.Credential(s.identity[:len(s.identity):len(s.identity)], s.client, s.describe(), idheader.Credential{
		Subject: p.Subject(), Type: p.Type(), Name: p.Credential().Name,
	})
	if denial != nil {
		return nil, denial
	}
	w.plan, w.base, w.proof, w.told = plan, s.identity, p, told
	return told, nil
}
