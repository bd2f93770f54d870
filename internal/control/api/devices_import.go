package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"countersign.dev/client"
	"countersign.dev/internal/control/device"
)

// mostLines bounds how many bad lines an answer has.
const mostLines = 1000

// registerImport adds the one operation whose body is not read into memory.
func (s Devices) registerImport(a *API) {
	schemas := a.huma.OpenAPI().Components.Schemas
	word := func(name, doc string, words ...any) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: "string", Enum: words}}
	}
	format := word("format", "Of the list. Default csv.", string(device.CSV), string(device.JSONLines))
	list := &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
	a.huma.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodPost, Path: "/v1/devices/import", OperationID: "import-devices", Tags: []string{"devices"},
		Summary:    "Add and update the devices of a list",
		Security:   []map[string][]string{{"token": {}}, {"certificate": {}}},
		Parameters: []*huma.Param{format, word("continue", "Import the good lines though others are bad. Default false.", "true", "false"), word("why", "The trail keeps it.")},
		RequestBody: &huma.RequestBody{Required: true, Description: "The first line of csv names the columns: id, state, notes, labels, label.KEY.",
			Content: map[string]*huma.MediaType{"text/plain": list, "text/csv": list, "application/jsonl": list}},
		Responses: map[string]*huma.Response{
			"200": {Description: "Imported.", Content: map[string]*huma.MediaType{
				"application/json": {Schema: schemas.Schema(reflect.TypeFor[client.DeviceImportReport](), true, "DeviceImportReport")}}},
			"default": a.wrong,
		},
	})
	a.mux.HandleFunc("POST /v1/devices/import", s.importList)
}

func (s Devices) importList(w http.ResponseWriter, r *http.Request) {
	report, err := s.imported(w, r)
	var p *problem
	if err != nil && !errors.As(err, &p) {
		errors.As(deviceProblem(err), &p)
	}
	if p != nil {
		for _, l := range report.Lines {
			p.Parameters = append(p.Parameters, client.Parameter{Where: fmt.Sprintf("line %d", l.Line), Why: l.Why})
		}
		p.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(report) // whoever does not read it has it so
}

func (s Devices) imported(w http.ResponseWriter, r *http.Request) (*client.DeviceImportReport, error) {
	report := &client.DeviceImportReport{Lines: []client.RefusedLine{}}
	registry, err := s.registry()
	if err != nil {
		return report, err
	}
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains([]string{"format", "continue", "why"}, name) {
			return report, wrong("query."+name, query.Get(name), "not a parameter of this; there are format, continue, why")
		}
	}
	how := device.Import{Format: device.CSV, Continue: query.Get("continue") == "true"}
	if word := query.Get("format"); word != "" {
		if how.Format, err = device.ParseFormat(word); err != nil {
			return report, wrong("query.format", word, err.Error())
		}
	}
	if word := query.Get("continue"); word != "" && word != "true" && word != "false" {
		return report, wrong("query.continue", word, "want true or false")
	}
	how.Report = func(l device.Line) {
		if l.Err != nil && len(report.Lines) < mostLines {
			report.Lines = append(report.Lines, client.RefusedLine{Line: l.Number, Why: l.Err.Error()})
		}
	}
	// A long list takes its time to come.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(longestChange)); err != nil {
		return report, err
	}
	sum, err := registry.Import(r.Context(), authorOf(r.Context(), query.Get("why")), r.Body, how)
	report.Read, report.Created, report.Updated, report.Unchanged, report.Refused = sum.Read, sum.Created, sum.Updated, sum.Unchanged, sum.Refused
	slices.SortFunc(report.Lines, func(a, b client.RefusedLine) int { return a.Line - b.Line })
	if err == nil {
		tell(r.Context(), "%d devices created, %d updated, %d unchanged; %d lines refused", sum.Created, sum.Updated, sum.Unchanged, sum.Refused)
	}
	return report, err
}
