package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"countersign.dev/client"
)

// problemType is that of RFC 9457 section 3.
const problemType = "application/problem+json"

// A problem is a client.Problem as huma takes it.
type problem struct{ client.Problem }

// refuse makes a problem.
func refuse(status int, code, format string, args ...any) *problem {
	return &problem{client.Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}}
}

// GetStatus is huma.StatusError's.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is huma.ContentTypeFilter's.
func (p *problem) ContentType(string) string { return problemType }

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", problemType)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="countersign"`) // RFC 9110 section 15.5.2
	}
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // whoever does not read it has it so
}

// ours turns what huma finds wrong with a request into a problem with a code.
func ours(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code := "invalid_request"
	if e.Status >= 500 {
		code = "internal"
	}
	p := refuse(e.Status, code, "%s", e.Detail)
	for _, d := range e.Errors {
		q := client.Parameter{Where: d.Location, Why: d.Message}
		if d.Value != nil && d.Value != "" {
			q.Found = fmt.Sprint(d.Value)
		}
		p.Parameters = append(p.Parameters, q)
	}
	return p, nil
}
