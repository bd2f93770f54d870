package report

import (
	"slices"
	"strconv"
)

// A Measure is a figure of countersign alone, held against what is allowed and
// not against a peer's.
type Measure struct {
	Name  string    `json:"name"`
	Unit  string    `json:"unit,omitempty"` // "ms", "/s", or none
	Turns []float64 `json:"turns"`
	Most  *float64  `json:"most,omitempty"`  // that the median may be; nil: anything
	Least *float64  `json:"least,omitempty"` // that the median must be, where more is better
}

// Measure adds a turn's value to the measure of that name, of which so much is
// allowed; without most, anything is.
func (w *Workload) Measure(name, unit string, value float64, most ...float64) {
	m := w.measure(name, unit, value)
	if len(most) > 0 {
		m.Most = &most[0]
	}
}

// AtLeast adds a turn's value to the measure of that name, of which so much is
// demanded.
func (w *Workload) AtLeast(name, unit string, value, least float64) {
	w.measure(name, unit, value).Least = &least
}

func (w *Workload) measure(name, unit string, value float64) *Measure {
	i := slices.IndexFunc(w.Measures, func(m *Measure) bool { return m.Name == name })
	if i < 0 {
		w.Measures = append(w.Measures, &Measure{Name: name, Unit: unit})
		i = len(w.Measures) - 1
	}
	m := w.Measures[i]
	m.Turns = append(m.Turns, value)
	return m
}

// missed reports that more was measured than is allowed, or less than is demanded.
func (m *Measure) missed() bool {
	median := Median(m.Turns)
	return m.Most != nil && median > *m.Most || m.Least != nil && median < *m.Least
}

// worst is the value that is farthest from what is wanted: of so many a second the
// least.
func (m *Measure) worst() float64 {
	if m.Least != nil || m.Unit == "/s" {
		return slices.Min(m.Turns)
	}
	return slices.Max(m.Turns)
}

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
		if m.Least != nil {
			allowed = "from " + m.text(*m.Least)
		}
		median := m.text(Median(m.Turns))
		if m.missed() {
			median += " !"
		}
		lines = append(lines, []string{name, m.Name, median, m.text(m.worst()), allowed})
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
