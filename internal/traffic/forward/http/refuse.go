package http

import (
	"bytes"
	"encoding/json"
	nethttp "net/http"
	"regexp"
	"strconv"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// Refuse answers the request under way with d's code: a problem document
// (RFC 9457) when the client accepts one, a line of text otherwise. The reason
// stays with the operator. It returns the status. closing says that the
// connection will not carry another request.
func (f *Front) Refuse(d *countersign.Denial, closing bool) (status int, err error) {
	a := answerTo(d.Code)
	if d.Code == countersign.ClientClosed {
		return a.status, nil // there is nobody to tell
	}
	kind, body := "text/plain; charset=utf-8", []byte(a.title+" ("+string(d.Code)+")\n")
	if f.acceptsProblem() {
		kind = "application/problem+json"
		body, err = json.Marshal(problem{
			Type:   "urn:countersign:denial:" + string(d.Code),
			Title:  a.title,
			Status: a.status,
			Code:   d.Code,
		})
		if err != nil {
			return 0, err
		}
		body = append(body, '\n')
	}
	out := append(f.out[:0], "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(a.status), 10)
	out = append(out, ' ')
	out = append(out, nethttp.StatusText(a.status)...)
	out = append(out, "\r\nContent-Type: "...)
	out = append(out, kind...)
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	out = append(out, "\r\nCache-Control: no-store\r\nDate: "...)
	out = append(out, f.date()...)
	out = append(out, '\r', '\n')
	if a.status == 405 {
		out = append(out, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"...)
	}
	out = appendConnection(out, f.Request.Minor, byLength, closing, a.status)
	out = append(out, '\r', '\n')
	if string(f.Request.Method) != "HEAD" {
		out = append(out, body...)
	}
	f.out = out
	return a.status, f.send(out)
}

// RefuseUnread answers a request of which nothing was read, or that is not
// understood as HTTP at all.
func (f *Front) RefuseUnread(set *Settings, d *countersign.Denial) (status int, err error) {
	f.set = set
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
func (f *Front) acceptsProblem() bool {
	var named, problem, html, any bool
	for i := range f.Request.Fields {
		if fl := &f.Request.Fields[i]; fl.Kind == http1.Accept {
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
