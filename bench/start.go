package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"countersign.dev/bench/credentials"
	"countersign.dev/bench/lists"
	"countersign.dev/bench/measure"
	"countersign.dev/bench/report"
)

// longList makes the long revocation list, once.
func (c *comparison) longList() error {
	if c.long.Entries > 0 {
		return nil
	}
	var err error
	c.long, err = credentials.WithLongList(c.pki(), c.files, c.options.entries)
	return err
}

// A begin is what a start took, up to the first request that was answered.
type begin struct {
	cpu, elapsed time.Duration
	pss, peak    int64
}

// starts has every server start with the long list, in turns. What a start with
// the list of a few entries takes is left out of the CPU time, and of what the
// notes say.
func (c *comparison) starts(ctx context.Context, w workload, result *report.Workload) error {
	short := w
	short.crl = false
	kept, peak := map[string][]float64{}, map[string][]float64{}
	for turn := range c.options.turns {
		for i := range c.servers {
			s := c.servers[(turn+i)%len(c.servers)]
			row := result.Rows[(turn+i)%len(c.servers)]
			without, err := c.begin(ctx, short, s, false)
			if err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			with, err := c.begin(ctx, w, s, turn == 0)
			if err != nil {
				return fmt.Errorf("%s with %d entries: %w", s.Name, c.options.entries, err)
			}
			row.Add(report.Turn{
				Operations: 1, Elapsed: with.elapsed, P50: with.elapsed, P99: with.elapsed, Connections: 1,
				CPU: max(with.cpu-without.cpu, 0), PSS: with.pss,
			})
			kept[s.Name] = append(kept[s.Name], float64(with.pss-without.pss))
			peak[s.Name] = append(peak[s.Name], float64(with.peak-without.peak))
			fmt.Fprintf(c.say, "%s, turn %d: %s: %s CPU, serves after %s\n", w.name, turn+1, s.Name, with.cpu-without.cpu, with.elapsed)
		}
	}
	for _, s := range c.servers {
		result.Notes = append(result.Notes, fmt.Sprintf("%s: %.1f MiB more than with ten entries when it serves, at the peak of all its processes %.1f MiB more",
			s.Name, report.Median(kept[s.Name])/(1<<20), report.Median(peak[s.Name])/(1<<20)))
	}
	note, err := c.alone(ctx)
	result.Notes = append(result.Notes, note)
	result.Compare()
	return err
}

// begin starts a server once.
func (c *comparison) begin(ctx context.Context, w workload, s server, prove bool) (b begin, err error) {
	began := time.Now()
	running, err := c.start(ctx, w, s)
	if err != nil {
		return b, err
	}
	b.elapsed = time.Since(began)
	defer func() { err = errors.Join(err, running.Stop(), os.RemoveAll(running.Site.Dir)) }()
	var errs [3]error
	b.cpu, errs[0] = measure.CPU(running.PIDs)
	b.pss, errs[1] = measure.PSS(running.PIDs)
	b.peak, errs[2] = measure.Peak(running.PIDs)
	if err := errors.Join(errs[:]...); err != nil || !prove {
		return b, err
	}
	return b, running.Prove(ctx, false)
}

// alone has a process do nothing but read the list, and says what that took.
func (c *comparison) alone(ctx context.Context) (string, error) {
	r, err := lists.Run(exec.CommandContext(ctx, c.self, "lists"), lists.Spec{File: c.long.CRLs, Entries: c.options.entries, Lookups: c.options.entries})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("countersign's code in a process of its own: %s of CPU for the list of %d entries, %.1f MiB kept, %.1f MiB at its peak; a look-up takes %s of a serial number that is listed, %s of another",
		r.CPU, c.options.entries, float64(r.Kept)/(1<<20), float64(r.Peak)/(1<<20), r.Listed, r.Unlisted), nil
}
