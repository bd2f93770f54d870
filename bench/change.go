package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"countersign.dev/bench/credentials"
	"countersign.dev/bench/load"
	"countersign.dev/bench/peer"
	"countersign.dev/bench/report"
)

// A change is what is done to countersign while clients are connected.
type change struct {
	// connections is how many live ones it is about.
	connections int
	// prepare readies the files of a site, and returns what is to be done to them.
	prepare func(c *comparison, site *peer.Site, connections int) (load.Change, error)
	// tell adds what came of it to the report.
	tell func(w *report.Workload, course *load.Course)
	// simulated is the benchmark of internal/traffic that does the same to a
	// hundred thousand clients, who have no sockets; "": there is none.
	simulated string
}

// changes makes a change again and again, each time to a server of its own.
func (c *comparison) changes(ctx context.Context, w workload, result *report.Workload) error {
	n := min(w.change.connections, c.sockets-spare)
	if n < w.change.connections {
		result.Notes = append(result.Notes, fmt.Sprintf("%d live connections in place of %d: a process may have %d open files", n, w.change.connections, c.sockets))
	}
	for turn := range c.options.turns {
		course, err := c.change(ctx, w, n)
		if err != nil {
			return err
		}
		w.change.tell(result, course)
		fmt.Fprintf(c.say, "%s, turn %d: %d of %d closed after %s, %s CPU\n", w.name, turn+1, course.Lost, course.Lost+course.Kept, course.Closed, course.CPU)
		if n == w.change.connections || w.change.simulated == "" {
			continue
		}
		if err := c.simulate(ctx, w.change.simulated, result); err != nil {
			return err
		}
	}
	return nil
}

// spare is how many files a process may have open beside live connections.
const spare = 1000

func (c *comparison) change(ctx context.Context, w workload, n int) (course *load.Course, err error) {
	site, err := c.site(w, c.servers[0])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(site.Dir)) }()
	what, err := w.change.prepare(c, &site, n)
	if err != nil {
		return nil, err
	}
	site.Connections = n + w.load.Connections
	running, err := c.servers[0].Start(ctx, c.servers[0].program, site)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, running.Stop()) }()
	what.PIDs = running.PIDs
	spec := w.load
	spec.Change = &what
	t, course, err := c.work(ctx, spec, load.Spec{}, running)
	if err == nil && t.Errors > 0 {
		err = errors.New(t.Error)
	}
	return course, err
}

// link gives a file another name, in a directory, so that it can be replaced there.
func link(dir, name, file string) (string, error) {
	to := filepath.Join(dir, name)
	return to, os.Link(file, to)
}

func (c *comparison) pki() string { return filepath.Join(c.dir, "pki") }

// fleets are n clients of the issuing authority, of whom the first is to be lost.
func (c *comparison) fleets(n int) []credentials.Fleet {
	issuing := credentials.Issuing(c.pki())
	return []credentials.Fleet{{Authority: issuing, First: 1, Count: n - 1}, {Authority: issuing, Count: 1, Lost: true}}
}

// revoke has the first of n clients revoked. The list that says so is made once.
func (c *comparison) revoke(site *peer.Site, n int) (load.Change, error) {
	next := site.Files.CRLs + ".next"
	if _, err := os.Stat(next); err != nil {
		if err := credentials.Revoke(next, c.pki(), site.Files, 0); err != nil {
			return load.Change{}, err
		}
	}
	var what load.Change
	var err, errNext error
	what.File, err = link(site.Dir, "crls.pem", site.Files.CRLs)
	what.New, errNext = link(site.Dir, "crls.next.pem", next)
	what.Fleets = c.fleets(n)
	site.Files.CRLs = what.File
	return what, errors.Join(err, errNext)
}

// withdraw has the authority of half of n clients taken out of the trust store.
func (c *comparison) withdraw(site *peer.Site, n int) (load.Change, error) {
	one := site.Files
	another := filepath.Join(site.Dir, "another")
	if err := os.Mkdir(another, 0o700); err != nil {
		return load.Change{}, err
	}
	both, err := credentials.Another(another, one)
	if err != nil {
		return load.Change{}, err
	}
	what := load.Change{File: both.Root, Fleets: []credentials.Fleet{
		{Authority: credentials.Issuing(c.pki()), Count: n - n/2},
		{Authority: credentials.Issuing(another), Count: n / 2, Lost: true},
	}}
	what.New, err = link(site.Dir, "root.pem", one.Root)
	site.Files.Root, site.Files.CRLs = both.Root, both.CRLs
	return what, err
}

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func tellClosed(within, cpu time.Duration) func(*report.Workload, *load.Course) {
	return func(w *report.Workload, c *load.Course) {
		w.Measure("live connections", "", float64(c.Kept+c.Lost))
		w.Measure("of them are refused, and close", "", float64(c.Lost))
		w.Measure("the last is closed after", "ms", ms(c.Closed), ms(within))
		if cpu > 0 {
			w.Measure("CPU time", "ms", ms(c.CPU), ms(cpu))
		} else {
			w.Measure("CPU time", "ms", ms(c.CPU))
		}
		w.Measure("of the others lose their connection, or a request", "", 0, 0) // else there is an error
	}
}

func tellReplaced(w *report.Workload, c *load.Course) {
	w.Measure("requests in that second", "", float64(c.Amid.Operations))
	w.Measure("p99 of them", "ms", ms(c.Amid.P99))
	w.Measure("p99 of requests before", "ms", ms(c.Before.P99))
	w.Measure("p99, divided by that before", "", float64(c.Amid.P99)/float64(max(c.Before.P99, 1)), 2)
	w.Measure("handshakes in that second", "", float64(c.Handshakes))
	w.Measure("handshakes and requests that failed", "", 0, 0) // else there is an error
	w.Measure("who is new on the list is disconnected after", "ms", ms(c.Closed))
}

// benchmarked finds what a benchmark of internal/traffic says.
var benchmarked = regexp.MustCompile(`\s([0-9.]+) cpu-ms\s+([0-9.]+) ms\b`)

// simulate runs the benchmark once, in a process of its own.
func (c *comparison) simulate(ctx context.Context, benchmark string, w *report.Workload) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^"+benchmark+"$", "-benchtime=1x", "./internal/traffic")
	cmd.Dir = c.module
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", benchmark, err, out)
	}
	found := benchmarked.FindSubmatch(out)
	if found == nil {
		return fmt.Errorf("%s does not tell its figures:\n%s", benchmark, out)
	}
	cpu, errCPU := strconv.ParseFloat(string(found[1]), 64)
	closed, errClosed := strconv.ParseFloat(string(found[2]), 64)
	w.Measure("100,000 clients without sockets: the last is told after", "ms", closed, 1000)
	w.Measure("100,000 clients without sockets: CPU time", "ms", cpu, 10)
	return errors.Join(errCPU, errClosed)
}
