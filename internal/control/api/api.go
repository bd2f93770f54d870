package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"countersign.dev/client"
)

// Config is what an API consists of.
type Config struct {
	Version string // of the program
	Nouns   []Noun
	Logger  *slog.Logger // nil: nothing is logged
}

// A Noun is a kind of thing with its operations.
type Noun interface{ register(*API) }

// An API answers under /v1/, and at /openapi.json. Nobody may anything before
// Enforce.
type API struct {
	log   *slog.Logger
	mux   *http.ServeMux
	huma  huma.API
	wrong *huma.Response // what is answered when something is refused
	spec  []byte         // the OpenAPI document
	rules atomic.Pointer[Rules]

	mu      sync.Mutex
	refused tally
}

// New returns an API with these nouns.
func New(cfg Config) (*API, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{log: cfg.Logger, mux: http.NewServeMux()}
	a.rules.Store(&Rules{Off: "no configuration is in force yet"})
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	c := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "countersign management API", Version: cfg.Version,
				Description: "What operators can ask a node and have it do. Callers on the node's machine show the token of its data_dir, others a certificate of the trust store that node.admin names."},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				"token":       {Type: "http", Scheme: "bearer", Description: "The content of api.token in data_dir, from the same machine alone."},
				"certificate": {Type: "mutualTLS", Description: "An operator's certificate, from anywhere."},
			}},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{ours},
	}
	a.wrong = &huma.Response{Description: "Refused, or failed.", Content: map[string]*huma.MediaType{
		problemType: {Schema: registry.Schema(reflect.TypeFor[client.Problem](), true, "Problem")},
	}}
	a.huma = humago.New(a.mux, c)
	for _, n := range cfg.Nouns {
		n.register(a)
	}
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		delete(registry.Map(), name) // what huma would answer; ours turns it into Problem
	}
	var err error
	if a.spec, err = json.Marshal(a.huma.OpenAPI()); err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	return a, nil
}

// schemaName is a type's own name: Page[client.TrustStore] is TrustStorePage.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if of, ok := strings.CutPrefix(name, "Page"); ok && of != "" {
		return of + "Page"
	}
	return name
}

// An answer is what huma makes of what an operation returns.
type answer[O any] struct{ Body O }

// operation adds one. path is under /v1; name is unique.
func operation[I, O any](a *API, method, path, name, summary string, do func(context.Context, *I) (*O, error)) {
	noun, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	op := huma.Operation{
		Method: method, Path: "/v1" + path, OperationID: name, Summary: summary, Tags: []string{noun},
		Responses:    map[string]*huma.Response{"default": a.wrong},
		Security:     []map[string][]string{{"token": {}}, {"certificate": {}}},
		MaxBodyBytes: 1 << 20,
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, err
		}
		return &answer[O]{*out}, nil
	})
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path == "/openapi.json" {
		a.document(w, r)
		return
	}
	rules := a.prepared(r)
	caller, denied := rules.admit(r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		a.change(w, r, rules, caller, denied)
		return
	}
	if denied != nil {
		denied.write(w)
		return
	}
	a.route(w, r)
}

// document is open to everybody: it says what is in the source.
func (a *API) document(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(http.StatusMethodNotAllowed, "method_not_allowed", "want GET or HEAD").write(w)
		return
	}
	w.Header().Set("Content-Type", "application/openapi+json")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.spec))
}

// route has the request answered by its operation.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	if p := parameters(r); p != nil {
		p.write(w)
		return
	}
	if _, pattern := a.mux.Handler(r); pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		refuse(http.StatusMethodNotAllowed, "method_not_allowed", "%s is not for %s; want %s", r.Method, r.URL.Path, strings.Join(allowed, " or ")).write(w)
		return
	}
	refuse(http.StatusNotFound, "not_found", "there is no %s here; /openapi.json says what there is", r.URL.Path).write(w)
}

// parameters refuses what would be read in two ways: the first of two values is
// what one reader sees, the last what another does.
func parameters(r *http.Request) *problem {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_request", "the query cannot be read: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch values := query[name]; {
		case len(values) > 1:
			return wrong("query."+name, strings.Join(values, ", "), "given more than once")
		case values[0] == "": // a variable of a script that has no value: leave nobody in doubt what that means
			return wrong("query."+name, "", "has no value; leave it out if it is not meant")
		}
	}
	return nil
}

// Paging is how a listing is asked for.
type Paging struct {
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most items on a page."`
	After string `query:"after" maxLength:"512" doc:"Items behind this key: next of the page before."`
}

// pageOf is the page of items, which are made to be in the order of their keys.
func pageOf[T any](items []T, key func(T) string, p Paging) *client.Page[T] {
	slices.SortFunc(items, func(x, y T) int { return strings.Compare(key(x), key(y)) })
	first, found := slices.BinarySearchFunc(items, p.After, func(item T, after string) int { return strings.Compare(key(item), after) })
	if found {
		first++
	}
	page := &client.Page[T]{Items: items[first:min(first+p.Limit, len(items))]}
	if page.Items == nil {
		page.Items = []T{}
	}
	if n := len(page.Items); first+n < len(items) {
		page.Next = key(page.Items[n-1])
	}
	return page
}
