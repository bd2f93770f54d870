package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func example() *Report {
	memory := &Workload{Name: "idle", Metric: Memory, Required: 0.5, Rows: []*Row{row("countersign", cpu(5)), row("nginx", cpu(20)), row("haproxy", cpu(10))}}
	uploads := &Workload{Name: "<uploads>", Metric: P99, Rows: []*Row{row("countersign", cpu(60)), row("nginx", cpu(40)), row("haproxy", cpu(360))}}
	alone := &Workload{Name: "alone", Metric: CPU, Required: 0.5, Rows: []*Row{row("countersign", cpu(70))}}
	missed := &Workload{Name: "h1", Metric: CPU, Required: 0.7, Rows: []*Row{row("countersign", cpu(80)), row("nginx", cpu(100), cpu(100)), row("haproxy", cpu(120))}}
	r := &Report{Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Cores: 2, Turns: 5, Workloads: []*Workload{missed, memory, uploads, alone}}
	for _, w := range r.Workloads {
		w.Compare()
	}
	return r
}

func plot(t *testing.T, r *Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Plot(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// drawn counts the elements of an SVG by name and class, and collects its texts.
func drawn(t *testing.T, svg string) (count map[string]int, texts []string) {
	t.Helper()
	count = map[string]int{}
	d := xml.NewDecoder(strings.NewReader(svg))
	inText := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count, texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
			for _, a := range token.Attr {
				if a.Name.Local == "class" {
					count[token.Name.Local+" "+a.Value]++
				}
			}
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				texts = append(texts, string(token))
			}
		}
	}
}

func TestPlotShowsEachServerBesideTheBetterPeer(t *testing.T) {
	count, texts := drawn(t, plot(t, example()))
	for what, want := range map[string]int{
		"rect bar first": 3, "rect bar": 6, // who is alone is a figure without a bar
		"line required": 4, // of three workloads, and the legend's
		"text work":     4,
		"path cut":      1, // for the bar that there is no room for
	} {
		if count[what] != want {
			t.Errorf("%d of %q, want %d", count[what], what, want)
		}
	}
	all := "\n" + strings.Join(texts, "\n") + "\n"
	for _, want := range []string{
		"h1", "0.80 !", "1.00", "1.20", "80.0µs", // more than is required
		"idle", "0.50", "2.00", "512.0 KiB", // as much as is required
		"<uploads>", "1.50", "9.00", // nothing is required
		"alone", "70.0µs", "medians of 5 turns; 2026-01-02, 2 cores", "countersign", "nginx", "haproxy", "0.5", "2.5", "\n3\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing from%s", want, all)
		}
	}
	if n := strings.Count(all, "!"); n != 1 {
		t.Errorf("%d exclamation marks, want one", n)
	}
}

func TestPlotRefusesWorkThatWasNotDone(t *testing.T) {
	r := example()
	r.Workloads[1].Rows[0].Turns[0].Errors = 2
	if err := r.Plot(io.Discard); err == nil || !strings.Contains(err.Error(), "2 workers") {
		t.Errorf("%v", err)
	}
}

// A stored report makes the same table and the same plot, byte for byte.
func TestStoredReportsAreReadAgain(t *testing.T) {
	r := example()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if first, second := plot(t, r), plot(t, again); first != second {
		t.Errorf("the plot\n%s\nhas become\n%s", first, second)
	}
	var first, second bytes.Buffer
	if err := errors.Join(r.Write(&first), again.Write(&second)); err != nil || first.String() != second.String() {
		t.Errorf("%v: the table\n%s\nhas become\n%s", err, &first, &second)
	}
	again.Workloads[0].Rows[0].Median.CPU, again.Workloads[0].Ratio = 1, 0.01
	if text, err = json.Marshal(again); err != nil {
		t.Fatal(err)
	}
	if again, err = Read(bytes.NewReader(text)); err != nil || again.Workloads[0].Ratio != 0.8 || again.Workloads[0].Rows[0].Median.CPU != 80 {
		t.Errorf("%v: medians and ratios are believed, not computed: %+v", err, again.Workloads[0])
	}
}

func TestOtherTextsAreNoReports(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "EOF",
		"{}":                           "without workloads",
		`{"wrokloads":[]}`:             `"wrokloads"`,
		`{"workloads":[null]}`:         "workload 1",
		`{"workloads":[{"name":"x"}]}`: "workload 1",
		`{"workloads":[{"rows":[null],"metric":"cpu"}]}`:           "workload 1",
		`{"workloads":[{"name":"x","metric":"love","rows":[{}]}]}`: `"love"`,
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s in it", text, err, want)
		}
	}
}
