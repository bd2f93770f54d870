package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// A Problem is a refusal (RFC 9457).
type Problem struct {
	Title  string `json:"title" doc:"The words of the status."`
	Status int    `json:"status" doc:"The HTTP status."`
	Detail string `json:"detail" doc:"What happened, what was expected, what to do: for people."`
	Code   string `json:"code" doc:"What happened, for programs: it does not change between versions."`
	// Faults are those of a configuration that is refused.
	Faults []Fault `json:"faults,omitempty" nullable:"false" doc:"What is wrong in a configuration."`
	// Parameters say what is wrong with a request.
	Parameters []Parameter `json:"parameters,omitempty" nullable:"false" doc:"What is wrong in a request."`
}

// A Fault is one thing that is wrong with a configuration, or worth a warning.
type Fault struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty" doc:"From 1; absent when it is the file as a whole."`
	Column   int    `json:"column,omitempty" doc:"From 1, in characters."`
	Path     string `json:"path,omitempty" doc:"Of the key: listeners[0].client_auth.mode."`
	Found    string `json:"found"`
	Expected string `json:"expected,omitempty"`
	Hint     string `json:"hint,omitempty"`
	Warning  bool   `json:"warning,omitempty" doc:"Worth saying, but the configuration can be used."`
	Text     string `json:"text" doc:"All of it in one line: FILE:LINE:COLUMN: PATH: found ..., expected ...; ..."`
}

// A Parameter is something in a request that is not accepted.
type Parameter struct {
	Where string `json:"where" doc:"Such as query.limit."`
	Found string `json:"found,omitempty"`
	Why   string `json:"why"`
}

// Error returns the detail and the code, with the faults on lines of their own.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d %s)", p.Detail, p.Status, p.Code)
	for _, f := range p.Faults {
		b.WriteString("\n" + f.Text)
	}
	for _, q := range p.Parameters {
		fmt.Fprintf(&b, "\n%s: found %q: %s", q.Where, q.Found, q.Why)
	}
	return b.String()
}

// problemOf is what an answer that is no success says.
func problemOf(response *http.Response, data []byte) error {
	p := &Problem{}
	if err := json.Unmarshal(data, p); err != nil || p.Code == "" {
		text := strings.Join(strings.Fields(string(data[:min(len(data), 200)])), " ")
		p = &Problem{Status: response.StatusCode, Title: http.StatusText(response.StatusCode), Code: "no_management_api",
			Detail: fmt.Sprintf("%s answers %s, which no management API says: %q", response.Request.URL.Host, response.Status, text)}
	}
	return p
}
