package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// everything is the API with every noun, of which none is asked anything.
func everything(t *testing.T) *API {
	t.Helper()
	a, err := New(Config{Version: "1", Nouns: []Noun{Snapshot{}, TrustStores{}, RevocationLists{}, Targets{}, Connections{}, Candidates{}, Devices{}, Enrollments{}}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type document struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Tags        []string
		Security    []map[string][]string
		Parameters  []struct {
			Name, In string
			Schema   map[string]any
		}
		Responses map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]map[string]any
	}
}

// OpenAPI 3.1.0: what each operation must have, and that every reference leads
// somewhere.
func TestTheDocumentDescribesEveryOperation(t *testing.T) {
	a := everything(t)
	var d document
	if err := json.Unmarshal(a.spec, &d); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Title == "" || d.Info.Version != "1" {
		t.Errorf("openapi %q, %+v", d.OpenAPI, d.Info)
	}
	ids := map[string]bool{}
	for path, methods := range d.Paths {
		if !strings.HasPrefix(path, "/v1/") {
			t.Errorf("%s is not under /v1/, where nobody may anything without credentials", path)
		}
		for method, op := range methods {
			at := method + " " + path
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s: operationId %q, summary %q, tags %q", at, op.OperationID, op.Summary, op.Tags)
			}
			ids[op.OperationID] = true
			if got := op.Responses["default"].Content["application/problem+json"].Schema["$ref"]; got != "#/components/schemas/Problem" {
				t.Errorf("%s: problems are %v", at, got)
			}
			if op.Responses["200"].Content["application/json"].Schema == nil {
				t.Errorf("%s: no answer", at)
			}
			if len(op.Security) != 2 {
				t.Errorf("%s: security %v", at, op.Security)
			}
			for _, s := range op.Security {
				for name := range s {
					if d.Components.SecuritySchemes[name] == nil {
						t.Errorf("%s: security scheme %q is not described", at, name)
					}
				}
			}
			paged := false
			for _, p := range op.Parameters {
				if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					t.Errorf("%s has a path parameter %q", at, p.Name)
				}
				if p.Name == "limit" {
					paged = p.Schema["maximum"] != nil && p.Schema["default"] != nil
				}
			}
			if strings.HasPrefix(op.OperationID, "list-") && !paged {
				t.Errorf("%s is a listing without a bound", at)
			}
		}
	}
	if len(ids) < 8 {
		t.Errorf("%d operations", len(ids))
	}
	var all any
	json.Unmarshal(a.spec, &all)
	references(t, all, func(ref string) {
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if !ok || d.Components.Schemas[name] == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	})
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		if d.Components.Schemas[name] != nil {
			t.Errorf("schema %s is never sent", name)
		}
	}
}

func references(t *testing.T, v any, see func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, w := range v {
			if s, ok := w.(string); ok && k == "$ref" {
				see(s)
			}
			references(t, w, see)
		}
	case []any:
		for _, w := range v {
			references(t, w, see)
		}
	}
}

func TestTheDocumentIsForEverybody(t *testing.T) {
	b := newTower(t, nil)
	resp, err := http.Get("http://" + b.address + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/openapi+json" || !json.Valid(body) {
		t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	if strings.Contains(string(body), b.token) {
		t.Error("it has the token")
	}
	if resp, _, _ := b.ask(ask{method: "POST", path: "/openapi.json", anonymous: true}); resp.StatusCode != 405 {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}
