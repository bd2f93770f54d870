package http

import (
	"bytes"
	"encoding/json"
	nethttp "net/http"
	"regexp"
	"strconv"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// A refusal is an answer of our own.
type refusal struct {
	answer
	code    countersign.Code
	kind    string // Content-Type
	body    []byte
	closing bool // the connection will not carry another request
	grpc    bool // said as a gRPC client expects it
	own     bool // no refusal but what was asked for
	lasting bool // it may be kept, and be given to others
	silent  bool // nothing is said
	fields  [][2]string
}

// Refuse answers the request under way with d's code: a problem document
// (RFC 9457) when the client accepts one, a line of text otherwise. The reason
// stays with the operator. It returns the status. closing says that the
// connection will not carry another request.
func (e *Exchange) Refuse(d *countersign.Denial, closing bool) (status int, err error) {
	e.tick() // whatever it was may have taken its time
	a := refusal{answer: answerTo(d.Code), code: d.Code, closing: closing}
	if d.Code == countersign.ClientClosed {
		return a.status, nil // there is nobody to tell
	}
	if a.status == 401 || a.status == 403 { // RFC 9110 section 15.5.2, RFC 6750 section 3.1
		for _, challenge := range d.Challenges {
			a.fields = append(a.fields, [2]string{"WWW-Authenticate", challenge})
		}
	}
	if d.RetryAfter > 0 {
		seconds := (d.RetryAfter + time.Second - 1) / time.Second
		a.fields = append(a.fields, [2]string{"Retry-After", strconv.FormatInt(int64(seconds), 10)})
	}
	a.kind, a.body = "text/plain; charset=utf-8", []byte(a.title+" ("+string(d.Code)+")\n")
	if e.acceptsProblem() {
		a.kind = "application/problem+json"
		a.body, err = json.Marshal(problem{
			Type:   "urn:countersign:denial:" + string(d.Code),
			Title:  a.title,
			Status: a.status,
			Code:   d.Code,
		})
		if err != nil {
			return 0, err
		}
		a.body = append(a.body, '\n')
	}
	return a.status, e.sink.refuse(e, &a)
}

// allowed are the methods that are not refused by a gateway as such.
const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// refuse is sink's.
func (f *Front) refuse(e *Exchange, a *refusal) error {
	if a.silent {
		f.client.closing.Store(true)
		return nil
	}
	out := append(e.out[:0], "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(a.status), 10)
	out = append(out, ' ')
	out = append(out, nethttp.StatusText(a.status)...)
	if a.kind != "" {
		out = append(out, "\r\nContent-Type: "...)
		out = append(out, a.kind...)
	}
	if a.status != nethttp.StatusNoContent { // which may not have the field (RFC 9110 section 8.6)
		out = append(out, "\r\nContent-Length: "...)
		out = strconv.AppendInt(out, int64(len(a.body)), 10)
	}
	if !a.lasting {
		out = append(out, "\r\nCache-Control: no-store"...)
	}
	out = append(out, "\r\nDate: "...)
	out = append(out, e.date()...)
	out = append(out, '\r', '\n')
	if a.status == 405 && !a.own {
		out = append(out, "Allow: "+allowed+"\r\n"...)
	}
	for _, f := range a.fields {
		out = append(out, f[0]...)
		out = append(out, ": "...)
		out = append(out, f[1]...)
		out = append(out, "\r\n"...)
	}
	out = appendConnection(out, e.Request.Minor, byLength, a.closing, a.status)
	out = append(out, '\r', '\n')
	if string(e.Request.Method) != "HEAD" {
		out = append(out, a.body...)
	}
	e.out = out
	return f.send(out)
}

// RefuseUnread answers a request of which nothing was read, or that is not
// understood as HTTP at all.
func (f *Front) RefuseUnread(set *Settings, d *countersign.Denial) (status int, err error) {
	f.begin(set)
	f.Request.Reset()
	f.Request.Minor = 1
	return f.Refuse(d, true)
}

// A problem is what RFC 9457 section 3 calls a problem details object, with
// one member of our own: the code, for programs.
type problem struct {
	Type   string           `json:"type"`
	Title  string           `json:"title"`
	Status int              `json:"status"`
	Code   countersign.Code `json:"code"`
}

// acceptsProblem reports whether the client would read a problem document: it
// names JSON, or takes anything and is not a browser that would rather read text.
func (e *Exchange) acceptsProblem() bool {
	var named, problem, html, any bool
	for i := range e.Request.Fields {
		if fl := &e.Request.Fields[i]; fl.Kind == http1.Accept {
			named = true
			problem = problem || accepts(fl.Value, "application/problem+json") || accepts(fl.Value, "application/json")
			html = html || accepts(fl.Value, "text/html")
			any = any || accepts(fl.Value, "*/*") || accepts(fl.Value, "application/*")
		}
	}
	return !named || problem || any && !html
}

// accepts reports whether an Accept value lists the media range with a weight
// other than 0 (RFC 9110 section 12.5.1).
func accepts(value []byte, media string) bool {
	for item := range bytes.SplitSeq(value, []byte{','}) {
		name, parameters, _ := bytes.Cut(item, []byte{';'})
		if http1.FoldEqual(bytes.TrimSpace(name), media) {
			return !refusedWeight.Match(parameters)
		}
	}
	return false
}

// refusedWeight finds a weight of 0 (RFC 9110 section 12.4.2).
var refusedWeight = regexp.MustCompile(`(?i)(^|;)[ \t]*q=0(\.0*)?[ \t]*(;|$)`)
