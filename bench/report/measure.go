package report

import (
	"slices"
	"strconv"
)

// A Measure is a figure of countersign alone, held against what is allowed and
// not against a peer's.
type Measure struct {
	Name  string    `json:"name"`
	Unit  string    `json:"unit,omitempty"` // "ms", or none
	Turns []float64 `json:"turns"`
	Most  *float64  `json:"most,omitempty"` // that the median may be; nil: anything
}

// Measure adds a turn's value to the measure of that name, of which so much is
// allowed; without most, anything is.
func (w *Workload) Measure(name, unit string, value float64, most ...float64) {
	i := slices.IndexFunc(w.Measures, func(m *Measure) bool { return m.Name == name })
	if i < 0 {
		m := &Measure{Name: name, Unit: unit}
		if len(most) > 0 {
			m.Most = &most[0]
		}
		w.Measures = append(w.Measures, m)
		i = len(w.Measures) - 1
	}
	w.Measures[i].Turns = append(w.Measures[i].Turns, value)
}

// missed reports that more was measured than is allowed.
func (m *Measure) missed() bool { return m.Most != nil && Median(m.Turns) > *m.Most }

// measureColumns are the titles of the table of measures.
func measureColumns() []string {
	return []string{"work", "measure", "median", "worst", "allowed"}
}

// measured are the lines about the workload in the table of measures.
func (w *Workload) measured() (lines [][]string) {
	for i, m := range w.Measures {
		name, allowed := w.Name, "-"
		if i > 0 {
			name = ""
		}
		if m.Most != nil {
			allowed = m.text(*m.Most)
		}
		median := m.text(Median(m.Turns))
		if m.missed() {
			median += " !"
		}
		lines = append(lines, []string{name, m.Name, median, m.text(slices.Max(m.Turns)), allowed})
	}
	return lines
}

// text renders a value: three digits, and all of those before the point.
func (m *Measure) text(v float64) string {
	digits := 0
	switch {
	case v == float64(int64(v)):
	case v < 10:
		digits = 2
	case v < 100:
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if m.Unit != "" {
		text += " " + m.Unit
	}
	return text
}
