package report

import (
	"cmp"
	"slices"
	"time"
)

// A Turn is what one server did in one turn of one workload.
type Turn struct {
	Operations  int64         `json:"operations"`
	Errors      int64         `json:"errors"`
	Error       string        `json:"error,omitempty"` // the first
	Elapsed     time.Duration `json:"elapsed_ns"`
	CPU         time.Duration `json:"cpu_ns"`    // of the server's processes
	PSS         int64         `json:"pss_bytes"` // of the server's processes, at the end, connections open
	Connections int           `json:"connections"`
	P50         time.Duration `json:"p50_ns"`
	P99         time.Duration `json:"p99_ns"`
	Rate        float64       `json:"rate,omitempty"` // at which requests were sent, where that was fixed
}

// Figures are what is told about a server and a workload.
type Figures struct {
	CPU           float64 `json:"cpu_us_per_operation"`
	Speed         float64 `json:"operations_per_second"`
	P50           float64 `json:"p50_us"`
	P99           float64 `json:"p99_us"`
	PSS           float64 `json:"pss_bytes"`
	PerConnection float64 `json:"pss_bytes_per_connection"`
}

// A Metric is the figure by which servers are compared; less is better.
type Metric string

// The metrics.
const (
	CPU    Metric = "cpu"    // CPU time of the server for an operation
	P99    Metric = "p99"    // latency
	Memory Metric = "memory" // proportional set size for a connection
)

// of returns the figure.
func (m Metric) of(f Figures) float64 {
	switch m {
	case P99:
		return f.P99
	case Memory:
		return f.PerConnection
	}
	return f.CPU
}

// title says what is compared.
func (m Metric) title() string {
	switch m {
	case P99:
		return "99th percentile of latency"
	case Memory:
		return "memory for each connection"
	}
	return "CPU time for each operation"
}

// text renders the figure with its unit.
func (m Metric) text(f Figures) string {
	switch m {
	case P99:
		return latency(f.P99)
	case Memory:
		return shown(f.PerConnection, "%.1f KiB", 1<<10)
	}
	return shown(f.CPU, "%.1fµs", 1)
}

// figures computes those of one turn.
func (t Turn) figures() Figures {
	return Figures{
		CPU:           divide(float64(t.CPU)/1e3, float64(t.Operations)),
		Speed:         divide(float64(t.Operations), t.Elapsed.Seconds()),
		P50:           float64(t.P50) / 1e3,
		P99:           float64(t.P99) / 1e3,
		PSS:           float64(t.PSS),
		PerConnection: divide(float64(t.PSS), float64(t.Connections)),
	}
}

func divide(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Median returns the middle of values, the mean of both middles when their
// number is even, 0 when there is none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// A Row is a server's turns at a workload.
type Row struct {
	Server string  `json:"server"`
	Turns  []Turn  `json:"turns"`
	Median Figures `json:"median"`
}

// Add adds a turn to the row and computes the medians anew.
func (r *Row) Add(t Turn) {
	r.Turns = append(r.Turns, t)
	median := func(of func(Figures) float64) float64 {
		var all []float64
		for _, t := range r.Turns {
			all = append(all, of(t.figures()))
		}
		return Median(all)
	}
	r.Median = Figures{
		CPU:           median(func(f Figures) float64 { return f.CPU }),
		Speed:         median(func(f Figures) float64 { return f.Speed }),
		P50:           median(func(f Figures) float64 { return f.P50 }),
		P99:           median(func(f Figures) float64 { return f.P99 }),
		PSS:           median(func(f Figures) float64 { return f.PSS }),
		PerConnection: median(func(f Figures) float64 { return f.PerConnection }),
	}
}

// A Workload is a piece of work and what came of it; the first Row is the
// server that is held against the others.
type Workload struct {
	Name     string   `json:"name"`
	About    string   `json:"about"`
	Metric   Metric   `json:"metric,omitempty"`
	Required float64  `json:"required,omitempty"` // the most that Ratio may be; 0: anything
	Aim      float64  `json:"aim,omitempty"`
	Ratio    float64  `json:"ratio,omitempty"` // 0: there is no peer
	Notes    []string `json:"notes,omitempty"` // what was done otherwise than it should be
	Rows     []*Row   `json:"rows,omitempty"`

	// Of a workload that is countersign's alone, in place of Rows.
	Measures []*Measure `json:"measures,omitempty"`
}

// Compare computes Ratio from the rows as they are.
func (w *Workload) Compare() {
	w.Ratio = 0
	if len(w.Rows) > 0 {
		w.Ratio = w.ratio(w.Rows[0])
	}
}

// ratio is a row's figure divided by that of the better peer, 0 without a peer.
func (w *Workload) ratio(r *Row) float64 {
	if len(w.Rows) < 2 {
		return 0
	}
	value := func(r *Row) float64 { return w.Metric.of(r.Median) }
	better := slices.MinFunc(w.Rows[1:], func(a, b *Row) int { return cmp.Compare(value(a), value(b)) })
	return divide(value(r), value(better))
}

// missed reports that more is needed than is allowed.
func (w *Workload) missed() bool { return w.Required > 0 && w.Ratio > w.Required }

// Errors counts the operations that failed, in all rows.
func (w *Workload) Errors() (n int64) {
	for _, r := range w.Rows {
		for _, t := range r.Turns {
			n += t.Errors
		}
	}
	return n
}

// A Report is a whole run.
type Report struct {
	Date      time.Time         `json:"date"`
	Cores     int               `json:"cores"`
	Versions  map[string]string `json:"versions"` // by server
	Turns     int               `json:"turns"`
	Time      time.Duration     `json:"time_ns"` // of each turn
	Notes     []string          `json:"notes,omitempty"`
	Workloads []*Workload       `json:"workloads"`
}

// Errors counts the operations that failed, in all workloads.
func (r *Report) Errors() (n int64) {
	for _, w := range r.Workloads {
		n += w.Errors()
	}
	return n
}
