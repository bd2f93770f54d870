package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

func newHandler(c Config) http.Handler {
	draining := func() bool { return c.Draining != nil && c.Draining() }
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, draining(), c.Well)
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, draining(), c.Ready)
	})
	pages := "/healthz or /readyz"
	if c.Metrics != nil {
		mux.Handle("/metrics", c.Metrics)
		pages = "/healthz, /readyz or /metrics"
	}
	if c.API != nil {
		pages += "; the management API is below /v1/, and /openapi.json says what it has"
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, http.StatusNotFound, fmt.Sprintf("there is no %s here; want %s", r.URL.Path, pages))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.API != nil && (r.URL.Path == "/openapi.json" || strings.HasPrefix(r.URL.Path, "/v1/")) {
			c.API.ServeHTTP(w, r)
			return
		}
		if c.WellKnown != nil && strings.HasPrefix(r.URL.Path, "/.well-known/countersign/") {
			c.WellKnown.ServeHTTP(w, r)
			return
		}
		if c.TokenKeys != nil && r.URL.Path == "/.well-known/jwks.json" {
			c.TokenKeys.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, r, http.StatusMethodNotAllowed, "want GET or HEAD")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// answer says that all is well, or what is not.
func answer(w http.ResponseWriter, r *http.Request, draining bool, lacking func() []string) {
	var reasons []string
	if draining {
		reasons = []string{"the node is draining"}
	}
	if lacking != nil {
		reasons = append(reasons, lacking()...)
	}
	if len(reasons) > 0 {
		fail(w, r, http.StatusServiceUnavailable, reasons...)
		return
	}
	succeed(w, r)
}

func succeed(w http.ResponseWriter, r *http.Request) {
	if prefersJSON(r) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"status":"ok"}`+"\n")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}

// A problem is a problem document (RFC 9457 section 3), with the reasons one by
// one as an extension.
type problem struct {
	Title   string   `json:"title"` // the type is about:blank, which may be left out
	Status  int      `json:"status"`
	Detail  string   `json:"detail"`
	Reasons []string `json:"reasons,omitempty"`
}

func fail(w http.ResponseWriter, r *http.Request, status int, reasons ...string) {
	if prefersJSON(r) {
		p := problem{Title: http.StatusText(status), Status: status, Detail: strings.Join(reasons, "; ")}
		if len(reasons) > 1 {
			p.Reasons = reasons
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(p)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, strings.Join(reasons, "\n")+"\n")
}

// prefersJSON reports whether Accept (RFC 9110 section 12.5.1) ranks JSON above
// plain text. Without a preference it is a person with curl, or a probe.
func prefersJSON(r *http.Request) bool {
	var asJSON, asText float64
	for _, field := range r.Header.Values("Accept") {
		for _, item := range strings.Split(field, ",") {
			kind, params, _ := strings.Cut(item, ";")
			q := quality(params)
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "application/problem+json", "application/json", "application/*":
				asJSON = max(asJSON, q)
			case "text/plain", "text/*":
				asText = max(asText, q)
			}
		}
	}
	return asJSON > asText
}

// quality returns the weight among parameters, 1 if there is none, 0 if it is
// not a number.
func quality(params string) float64 {
	for _, p := range strings.Split(params, ";") {
		if name, value, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}
