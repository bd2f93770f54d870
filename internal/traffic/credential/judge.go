package credential

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/wire/http1"
)

// A Question is a request, as far as it counts.
type Question struct {
	Client identify.Client
	Fields []http1.Field
	Now    time.Time
	// Source is who asks, and Attempts counts the failures of sources; nil: nobody
	// does. Most is how many a minute each may have, 0 for any number.
	Source   netip.Addr
	Attempts *Attempts
	Most     int
	// Evidence is what was found out about the request before, and where it is
	// noted what has yet to be. nil: what takes long is refused.
	Evidence *Evidence
}

// Judge says whether both requirements hold, either of which may be nil. The
// Proof is of the credential that was named first among those that count; it is
// the zero value where a certificate was enough. After a Denial, Evidence may be
// Pending: then it is not the last word.
func Judge(q *Question, first, second *Requirement) (Proof, *countersign.Denial) {
	j := judgment{q: q}
	if q.Evidence != nil {
		q.Evidence.pending = q.Evidence.pending[:0]
		q.Evidence.fields, q.Evidence.at = q.Fields, circumstances(q.Client, q.Now)
	}
	held, proof := j.both(first, second)
	if held != later && q.Evidence != nil {
		q.Evidence.pending = q.Evidence.pending[:0] // nothing depends on it
	}
	switch held {
	case yes:
		return proof, nil
	case later:
		return Proof{}, countersign.Deny(countersign.StageAuthorize, countersign.CredentialNotProven,
			"a credential was not verified yet; this is a fault in countersign, please report it")
	}
	return Proof{}, explain(q, first, second)
}

// explain is for what does not hold.
func explain(q *Question, first, second *Requirement) *countersign.Denial {
	j := &judgment{q: q, explains: true}
	j.both(first, second)
	return j.denial(second.credentials(first.credentials(nil)))
}

// An answer to whether a requirement holds.
type answer uint8

const (
	no answer = iota
	later
	yes
)

// A judgment collects why something does not hold.
type judgment struct {
	q           *Question
	failures    []failure
	missing     []*Credential
	uncertified bool
	explains    bool // else nothing is collected, so that a request that is granted costs nothing
}

type failure struct {
	of  *Credential
	why *Failure
}

// both is all, of two that may be nil.
func (j *judgment) both(first, second *Requirement) (answer, Proof) {
	held, proof := yes, Proof{}
	for _, r := range [...]*Requirement{first, second} {
		if r == nil {
			continue
		}
		h, p := j.holds(r)
		held = min(held, h)
		if !proof.Given() {
			proof = p
		}
	}
	return held, proof
}

func (j *judgment) holds(r *Requirement) (answer, Proof) {
	switch {
	case r.certificate:
		if j.q.Client.Verified() {
			return yes, Proof{}
		}
		j.uncertified = true
		return no, Proof{}
	case r.credential != nil:
		return j.shows(r.credential)
	case len(r.parts) == 0:
		return no, Proof{}
	}
	held, proof := yes, Proof{}
	if r.any {
		held = no
	}
	failures, missing, uncertified := len(j.failures), len(j.missing), j.uncertified
	forgive := func() { // what the others lack matters to nobody
		j.failures, j.missing, j.uncertified = j.failures[:failures], j.missing[:missing], uncertified
	}
	for _, part := range r.parts {
		h, p := j.holds(part)
		switch {
		case r.any && h == yes:
			forgive()
			return yes, p
		case r.any:
			held = max(held, h)
		default:
			held = min(held, h)
		}
		if !proof.Given() {
			proof = p
		}
	}
	if r.any && held == later {
		forgive()
	}
	if held != yes {
		return held, Proof{}
	}
	return yes, proof
}

// shows says whether the request shows c.
func (j *judgment) shows(c *Credential) (answer, Proof) {
	q := j.q
	shown, twice := c.find(q.Fields)
	switch {
	case twice:
		return j.fails(c, Fail(countersign.CredentialInvalid, "the request has the field %s twice; want it once", c.Header))
	case shown == nil:
		if j.explains {
			j.missing = append(j.missing, c)
		}
		return no, Proof{}
	}
	if wait := q.Attempts.Barred(q.Source, q.Most, q.Now); wait > 0 {
		return j.fails(c, &Failure{Code: countersign.CredentialLimit, Wait: wait,
			Reason: "too many failures came from " + q.Source.String() + " (limits.credential_failures)"})
	}
	subject, done, failed := q.Evidence.about(c)
	if !done {
		subject, done, failed = c.Scheme.Quick(shown, circumstances(q.Client, q.Now))
	}
	switch {
	case !done:
		if !j.explains { // else the answer is there without it
			q.Evidence.need(c)
		}
		return later, Proof{}
	case failed != nil:
		return j.fails(c, failed)
	}
	return yes, Proof{c, subject}
}

func (j *judgment) fails(c *Credential, why *Failure) (answer, Proof) {
	if j.explains {
		j.failures = append(j.failures, failure{c, why})
	}
	return no, Proof{}
}

// denial says what does not hold, and what the client could show instead.
func (j *judgment) denial(all []*Credential) *countersign.Denial {
	if len(j.failures)+len(j.missing) == 0 {
		return j.certificate()
	}
	d := j.failed()
	if d == nil {
		var names []string
		for _, c := range j.missing {
			names = append(names, c.describe())
		}
		if j.uncertified {
			names = append(names, "a verified client certificate")
		}
		d = countersign.Deny(countersign.StageAuthorize, countersign.CredentialMissing,
			"the request shows none of what is required: %s", strings.Join(names, ", "))
	}
	for _, c := range all {
		var why *Failure
		if i := slices.IndexFunc(j.failures, func(f failure) bool { return f.of == c }); i >= 0 {
			why = j.failures[i].why
		}
		d.Challenges = append(d.Challenges, c.Scheme.Challenge(why))
	}
	return d
}

// failed is about what was shown; nil: nothing was.
func (j *judgment) failed() *countersign.Denial {
	if len(j.failures) == 0 {
		return nil
	}
	var reasons []string
	telling := j.failures[0].why
	for _, f := range j.failures {
		reasons = append(reasons, f.of.describe()+": "+f.why.Reason)
		if f.why.weight() > telling.weight() {
			telling = f.why
		}
	}
	if telling.Code == countersign.CredentialInvalid || telling.Code == countersign.CredentialNotBound {
		j.q.Attempts.Failed(j.q.Source, j.q.Most, j.q.Now)
	}
	d := countersign.Deny(countersign.StageAuthorize, telling.Code, "%s", strings.Join(reasons, "; "))
	d.RetryAfter = telling.Wait
	return d
}

// weight says how much a failure tells the client: that another attempt may
// succeed; that it is about this very credential; or that it is none of ours.
func (f *Failure) weight() int {
	switch {
	case f.Wait > 0:
		return 2
	case f.Code != countersign.CredentialInvalid:
		return 1
	}
	return 0
}

func (j *judgment) certificate() *countersign.Denial {
	if !j.uncertified {
		return countersign.Deny(countersign.StageAuthorize, countersign.CredentialNotProven,
			"a requirement without parts cannot hold; this is a fault in countersign, please report it")
	}
	if j.q.Client.Identity() != nil {
		return countersign.Deny(countersign.StageAuthorize, countersign.ClientCertUntrusted,
			"a verified client certificate is required and the client's was not verified; let client_auth of the listener verify it")
	}
	return countersign.Deny(countersign.StageAuthorize, countersign.ClientCertMissing,
		"a client certificate is required and the client presented none; give it one, with its private key")
}

// describe names c for the operator.
func (c *Credential) describe() string { return c.Type + " " + c.Name + " in " + c.Header }
