package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/bench/credentials"
	"countersign.dev/bench/peer"
	"countersign.dev/bench/report"
	"countersign.dev/internal/testrequire"
)

// TestMain lets this binary be the child processes that bench starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && (os.Args[1] == "load" || os.Args[1] == "lists") || len(os.Args) == 5 && os.Args[1] == "backend" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every workload is done by countersign, without an error; how fast is not asked.
func TestWorkloadsSucceed(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("needs Linux's /proc")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "report.json")
	o := options{
		turns: 1, time: 50 * time.Millisecond, settle: time.Millisecond, idleConnections: 40, liveConnections: 40, entries: 3000, devices: 2000, pairs: 1, revoked: 50, json: file, plot: filepath.Join(dir, "report.svg"),
	}
	var out bytes.Buffer
	if err := compare(t.Context(), o, workloads(o), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range report.Columns() {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no column %q:\n%s", want, out.String())
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	later := filepath.Join(dir, "later.svg")
	if err := run(t.Context(), []string{"--from", file, "--plot", later}, nil, &table); err != nil || table.String() != out.String() {
		t.Errorf("%v, a stored run gives the table\n%s\nit gave\n%s", err, &table, &out)
	}
	if first, again := read(t, o.plot), read(t, later); first != again {
		t.Errorf("a stored run gives the plot\n%s\nit gave\n%s", again, first)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Versions[peer.Self] == "" || len(r.Workloads) != len(workloads(o)) {
		t.Errorf("versions %v, %d workloads", r.Versions, len(r.Workloads))
	}
	for _, w := range r.Workloads {
		if !strings.Contains(out.String(), w.Name) {
			t.Errorf("%s is not in the table", w.Name)
		}
		if len(w.Measures) > 0 {
			for _, m := range w.Measures {
				if len(m.Turns) != 1 || len(w.Rows) > 0 {
					t.Errorf("%s: %+v", w.Name, m)
				}
			}
			continue
		}
		if len(w.Rows) != 1 || len(w.Rows[0].Turns) != 1 {
			t.Fatalf("%s: %+v", w.Name, w.Rows)
		}
		turn := w.Rows[0].Turns[0]
		if turn.Operations < 1 || turn.Errors != 0 || turn.Connections < 1 || turn.PSS < 1<<20 || turn.Elapsed <= 0 {
			t.Errorf("%s: %+v", w.Name, turn)
		}
		if (w.Metric != report.Memory) != (turn.P50 > 0 && turn.P99 >= turn.P50) {
			t.Errorf("%s: p50 %s, p99 %s", w.Name, turn.P50, turn.P99)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The peers do the work of which it is not obvious that they were set up for it.
func TestPeersDoHTTP2(t *testing.T) {
	chosen, err := choose(workloads(options{}), []string{"h2"})
	if err != nil {
		t.Fatal(err)
	}
	w := chosen[0]
	w.load.Duration = 50 * time.Millisecond
	for _, p := range peer.All() {
		if p.Name == peer.Self {
			continue // TestWorkloadsSucceed has it do all
		}
		t.Run(p.Name, func(t *testing.T) {
			testrequire.Program(t, p.Name)
			program, err := p.Find(t.Context(), peer.Build{})
			if err != nil {
				t.Fatal(err)
			}
			c := comparison{self: os.Args[0], dir: t.TempDir()}
			if c.files, err = credentials.Make(filepath.Join(c.dir, "pki"), 2); err != nil {
				t.Fatal(err)
			}
			end, err := c.startBackend(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			turn, err := c.one(t.Context(), w, server{p, program}, true)
			if err != nil || turn.Errors > 0 || turn.Operations < 16 || turn.Connections != 4 {
				t.Errorf("%+v, %v", turn, err)
			}
		})
	}
}

// The plot and the tables in the documentation are of the runs that are stored beside them.
func TestDocumentedFiguresAreThoseOfTheStoredRuns(t *testing.T) {
	document := read(t, "../docs/performance.md")
	if !strings.Contains(document, "](performance.svg)") {
		t.Skip("docs/performance.md has no plot")
	}
	svg := filepath.Join(t.TempDir(), "again.svg")
	documented(t, document, "../docs/performance.json", "--plot", svg)
	if read(t, svg) != read(t, "../docs/performance.svg") {
		t.Error("docs/performance.svg is another: go run ./bench --from docs/performance.json --plot docs/performance.svg")
	}
	documented(t, document, "../docs/performance.devices.json")
	documented(t, document, "../docs/performance.streams.json")
}

// documented demands the tables of a stored run.
func documented(t *testing.T, document, stored string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), append([]string{"--from", stored}, args...), nil, &out); err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(out.String(), "\n\n")
	tables, _, _ = strings.Cut(tables, "\n\nnote: ") // notes are told in words
	for table := range strings.SplitSeq(tables, "\n\n") {
		if !strings.Contains(document, "```text\n"+strings.TrimSuffix(table, "\n")+"\n```") {
			t.Errorf("docs/performance.md has another table than that of %s:\n%s", stored, table)
		}
	}
}

func TestCommandLine(t *testing.T) {
	var list bytes.Buffer
	if err := run(t.Context(), []string{"--list"}, nil, &list); err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads(options{}) {
		if !strings.Contains(list.String(), w.name) || w.about == "" || w.required < w.aim {
			t.Errorf("%s is not listed, or not described: %+v", w.name, w)
		}
	}
	o, err := parse([]string{"--only", "idle,body-1m", "--peers=nginx", "--time", "2s", "--turns=3", "--json", "x"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := choose(workloads(o), o.only)
	if err != nil || len(chosen) != 2 || chosen[0].name != "idle" || len(o.peers) != 1 || o.time != 2*time.Second || o.turns != 3 || o.json != "x" {
		t.Errorf("%+v, %+v, %v", o, chosen, err)
	}
	for args, want := range map[string]string{
		"--only=nothing": `"nothing"`, "--peers=apache": `"apache"`, "--turns=0": "at least 1", "--time=0s": "more than 0", "now": `"now"`,
		"--from=/nowhere": "/nowhere", "--from=x --turns=3 --peers=nginx": "--peers, --turns with --from",
	} {
		if err := run(t.Context(), strings.Fields(args), nil, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s in it", args, err, want)
		}
	}
}
