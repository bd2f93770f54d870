package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Read reads a report that was written as JSON. What follows from the turns is
// computed anew.
func Read(from io.Reader) (*Report, error) {
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	var r Report
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("want a report as --json writes it: %w", err)
	}
	if len(r.Workloads) == 0 {
		return nil, fmt.Errorf("a report without workloads: want one as --json writes it")
	}
	for i, w := range r.Workloads {
		if w == nil || slices.Contains(w.Rows, nil) || len(w.Rows)+len(w.Measures) == 0 {
			return nil, fmt.Errorf("workload %d of the report has no rows, or an empty one: want one for each server", i+1)
		}
		if slices.ContainsFunc(w.Measures, func(m *Measure) bool { return m == nil || len(m.Turns) == 0 }) {
			return nil, fmt.Errorf("workload %q has a measure that was not taken", w.Name)
		}
		if len(w.Rows) > 0 && !slices.Contains([]Metric{CPU, P99, Memory}, w.Metric) {
			return nil, fmt.Errorf("workload %q is compared by %q: want %s, %s or %s", w.Name, w.Metric, CPU, P99, Memory)
		}
		for _, row := range w.Rows {
			turns := row.Turns
			row.Turns, row.Median = nil, Figures{}
			for _, t := range turns {
				row.Add(t)
			}
		}
		w.Compare()
	}
	return &r, nil
}
