package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Columns are the titles of the table.
func Columns() []string {
	return []string{"work", "server", "CPU µs/op", "ops/s", "p50", "p99", "PSS", "PSS/conn", "ratio", "required", "aim"}
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, %s of %s; medians\n", r.Date.Format("2006-01-02"), r.Cores, turns(r.Turns), r.Time)
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, "%s %s\n", name, r.Versions[name])
	}
	b.WriteString("\n")
	lines, measured := [][]string{Columns()}, [][]string{measureColumns()}
	var notes []string
	for _, work := range r.Workloads {
		for i, row := range work.Rows {
			lines = append(lines, work.cells(i, row))
		}
		measured = append(measured, work.measured()...)
		for _, note := range work.Notes {
			notes = append(notes, work.Name+": "+note)
		}
		for _, row := range work.Rows {
			for _, turn := range row.Turns {
				if turn.Errors > 0 {
					notes = append(notes, fmt.Sprintf("%s: %s: %d errors, the first: %s", work.Name, row.Server, turn.Errors, turn.Error))
				}
			}
		}
	}
	if len(lines) > 1 {
		align(&b, lines)
	}
	if len(measured) > 1 {
		if len(lines) > 1 {
			b.WriteString("\n")
		}
		align(&b, measured)
	}
	for i, note := range append(slices.Clone(r.Notes), notes...) {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// align writes lines in columns: what was measured to the right, names to the left.
func align(b *strings.Builder, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, cells := range lines {
		var line strings.Builder
		for i, cell := range cells {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < 2 {
				line.WriteString(cell + gap + "  ")
			} else {
				line.WriteString(gap + cell + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// cells renders row i of a workload. A star marks the figure that is compared.
func (w *Workload) cells(i int, row *Row) []string {
	f := row.Median
	star := func(m Metric, text string) string {
		if m == w.Metric {
			return "*" + text
		}
		return text
	}
	cells := []string{w.Name, row.Server,
		star(CPU, shown(f.CPU, "%.1f", 1)), shown(f.Speed, "%.0f", 1),
		latency(f.P50), star(P99, latency(f.P99)),
		shown(f.PSS, "%.1f MiB", 1<<20), star(Memory, shown(f.PerConnection, "%.1f KiB", 1<<10)),
		"", "", ""}
	if w.Metric == Memory {
		cells[2], cells[3] = "-", "-" // nothing was done
	} else {
		cells[7] = "-" // a few connections share what the program itself takes
	}
	if i > 0 {
		cells[0] = ""
		return cells
	}
	cells[8], cells[9], cells[10] = shown(w.Ratio, "%.2f", 1), shown(w.Required, "%.2f", 1), shown(w.Aim, "%.2f", 1)
	if w.missed() {
		cells[8] += " !"
	}
	return cells
}

func latency(us float64) string {
	if us < 1000 {
		return shown(us, "%.0fµs", 1)
	}
	return shown(us, "%.2fms", 1e3)
}

// shown formats a figure in a unit; one that was not measured is a dash.
func shown(v float64, format string, unit float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v/unit)
}

func turns(n int) string {
	if n == 1 {
		return "1 turn"
	}
	return fmt.Sprintf("%d turns", n)
}
