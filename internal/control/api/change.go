package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/control/audit"
)

// longestChange is how long a change may take: a reload fetches.
const longestChange = 5 * time.Minute

// change answers a request that is to change something. It is in the trail before
// anything is done, with what came of it before anybody is told.
func (a *API) change(w http.ResponseWriter, r *http.Request, rules *Rules, c caller, denied *problem) {
	if denied != nil {
		a.refusal(r, rules, c, denied)
		denied.write(w)
		return
	}
	entry := entryOf(r, c)
	entry.Event = audit.Requested
	sequence, err := appendTo(rules.Trail, entry)
	if err != nil {
		a.log.Error("a change was refused: it cannot be entered into the audit trail", "who", c.String(), "from", c.from.String(),
			"method", r.Method, "path", r.URL.Path, "error", err)
		refuse(http.StatusServiceUnavailable, "audit_unavailable", "nothing was changed: it cannot be entered into the audit trail: %v", err).write(w)
		return
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longestChange)) // best effort
	// Whoever goes away does not leave half a change behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), longestChange)
	defer cancel()
	var detail string
	answer := &recorder{inner: w, header: w.Header().Clone()}
	finish := func() {
		entry.Request, entry.Event, entry.Status, entry.Detail = sequence, audit.Done, answer.status, detail
		if answer.status >= 400 {
			var p client.Problem
			json.Unmarshal(answer.body.Bytes(), &p)
			entry.Event, entry.Code, entry.Detail = audit.Failed, p.Code, p.Detail
		}
		if _, err := appendTo(rules.Trail, entry); err != nil {
			a.log.Error("the outcome of a change cannot be entered into the audit trail", "request", sequence, "outcome", entry.Event, "status", entry.Status, "error", err)
		}
	}
	defer func() {
		if fault := recover(); fault != nil {
			answer.status, detail = http.StatusInternalServerError, "a fault in countersign"
			finish()
			panic(fault)
		}
	}()
	ctx = context.WithValue(context.WithValue(ctx, detailKey{}, &detail), whoKey{}, c.Who.String())
	a.route(answer, r.WithContext(ctx))
	finish()
	answer.send()
}

func appendTo(trail Trail, e audit.Entry) (uint64, error) {
	if trail == nil {
		return 0, fmt.Errorf("there is none")
	}
	return trail.Append(e)
}

func entryOf(r *http.Request, c caller) audit.Entry {
	return audit.Entry{Who: c.Who, From: c.from, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}
}

type detailKey struct{}

// tell adds to the trail what came of the change under way, in words.
func tell(ctx context.Context, format string, args ...any) {
	if detail, ok := ctx.Value(detailKey{}).(*string); ok {
		*detail = fmt.Sprintf(format, args...)
	}
}

// A tally bounds what strangers can write to the disk: so many lines a minute,
// the others are counted.
type tally struct {
	since  time.Time
	told   int
	untold int
}

const toldAMinute = 60

// refusal enters into the trail that somebody may not.
func (a *API) refusal(r *http.Request, rules *Rules, c caller, denied *problem) {
	a.mu.Lock()
	if now := time.Now(); now.Sub(a.refused.since) >= time.Minute {
		a.refused.since, a.refused.told = now, 0
	}
	if a.refused.told++; a.refused.told > toldAMinute {
		a.refused.untold++
		a.mu.Unlock()
		return
	}
	untold := a.refused.untold
	a.refused.untold = 0
	a.mu.Unlock()

	e := entryOf(r, c)
	e.Event, e.Status, e.Code, e.Detail, e.Untold = audit.Refused, denied.Status, denied.Code, denied.Detail, untold
	if c.why != "" {
		e.Detail = c.why
	}
	if _, err := appendTo(rules.Trail, e); err != nil {
		a.log.Warn("a refused change is not in the audit trail", "from", c.from.String(), "method", r.Method, "path", r.URL.Path, "code", denied.Code, "error", err)
	}
}

// A recorder keeps an answer back until the trail has it.
type recorder struct {
	inner  http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Unwrap lets deadlines be set (http.ResponseController).
func (w *recorder) Unwrap() http.ResponseWriter { return w.inner }

func (w *recorder) send() {
	header := w.inner.Header()
	clear(header)
	for name, values := range w.header {
		header[name] = values
	}
	w.inner.WriteHeader(max(w.status, http.StatusOK))
	w.inner.Write(w.body.Bytes())
}
