package report

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}, {[]float64{1, 1, 1, 1, 1000}, 1},
	} {
		if got := Median(c.values); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
	values := []float64{3, 1, 2}
	if Median(values); values[0] != 3 {
		t.Error("Median sorted its argument")
	}
}

func row(server string, turns ...Turn) *Row {
	r := &Row{Server: server}
	for _, t := range turns {
		r.Add(t)
	}
	return r
}

func cpu(us int64) Turn {
	return Turn{Operations: 1000, CPU: time.Duration(us) * time.Millisecond, Elapsed: time.Second, Connections: 10, PSS: us << 20, P99: time.Duration(us) * time.Microsecond}
}

func TestFiguresAreOfMedianTurns(t *testing.T) {
	r := row("x", cpu(10), cpu(1000), cpu(20))
	want := Figures{CPU: 20, Speed: 1000, P99: 20, PSS: 20 << 20, PerConnection: 2 << 20}
	if r.Median != want {
		t.Errorf("%+v, want %+v", r.Median, want)
	}
	if f := (Turn{CPU: time.Second}).figures(); f != (Figures{}) {
		t.Errorf("a turn in which nothing was done has the figures %+v", f)
	}
}

func TestRatioIsToTheBetterPeer(t *testing.T) {
	for name, c := range map[string]struct {
		rows   []*Row
		metric Metric
		want   float64
	}{
		"the better is last":  {[]*Row{row("us", cpu(10)), row("a", cpu(40)), row("b", cpu(20))}, CPU, 0.5},
		"the better is first": {[]*Row{row("us", cpu(30)), row("a", cpu(20)), row("b", cpu(40))}, CPU, 1.5},
		"latency":             {[]*Row{row("us", cpu(30)), row("a", cpu(20))}, P99, 1.5},
		"memory":              {[]*Row{row("us", cpu(5)), row("a", cpu(20))}, Memory, 0.25},
		"no peer":             {[]*Row{row("us", cpu(10))}, CPU, 0},
	} {
		w := Workload{Metric: c.metric, Rows: c.rows}
		if w.Compare(); w.Ratio != c.want {
			t.Errorf("%s: %v, want %v", name, w.Ratio, c.want)
		}
	}
}

func TestTableOfMeasures(t *testing.T) {
	w := &Workload{Name: "revoke"}
	for _, took := range []float64{104.4, 3, 900} {
		w.Measure("closed after", "ms", took, 100)
		w.Measure("clients", "", 19000)
		w.Measure("failed", "", 0, 0)
		w.AtLeast("done", "/s", took, 200)
	}
	r := Report{Turns: 3, Workloads: []*Workload{w}}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(b.String(), "\n\n")
	want := `
work    measure        median   worst  allowed
revoke  closed after  104 ms !  900 ms   100 ms
        clients          19000   19000        -
        failed               0       0        0
        done         104 /s !  3 /s  from 200 /s
`
	if fields := strings.Fields; !slices.Equal(fields(table), fields(want)) {
		t.Errorf("%s\nwant\n%s", table, want)
	}
	if err := r.Plot(&b); err != nil {
		t.Error(err) // nothing is compared, nothing is wrong
	}
}

func TestTable(t *testing.T) {
	bad := cpu(50)
	bad.Errors, bad.Error = 3, "the answer is a 502"
	w := &Workload{Name: "h1", Metric: CPU, Required: 0.7, Aim: 0.55, Notes: []string{"with less"},
		Rows: []*Row{row("countersign", cpu(40)), row("nginx", bad)}}
	w.Compare()
	if w.Errors() != 3 {
		t.Errorf("%d errors", w.Errors())
	}
	r := Report{Cores: 2, Turns: 1, Time: time.Second, Versions: map[string]string{"nginx": "1.2"}, Notes: []string{"haproxy is left out"}, Workloads: []*Workload{w}}
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range append(Columns(), "nginx 1.2\n", "*40.0", "0.80 !", "0.70", "0.55", "note: haproxy is left out\n", "note: h1: with less\n",
		"note: h1: nginx: 3 errors, the first: the answer is a 502\n") {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing from\n%s", want, out.String())
		}
	}
}
