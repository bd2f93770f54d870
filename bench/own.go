package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign.dev/bench/authority"
	"countersign.dev/bench/fleet"
	"countersign.dev/bench/measure"
	"countersign.dev/bench/report"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
)

// An own work is countersign's alone; it is done once each turn, and tells the
// report what came of it.
type own func(c *comparison, ctx context.Context, w workload, result *report.Workload) error

// eachEngine does a work with every engine that there is.
func eachEngine(do func(c *comparison, ctx context.Context, w workload, e engine, result *report.Workload) error) own {
	return func(c *comparison, ctx context.Context, w workload, result *report.Workload) error {
		for _, e := range c.engines {
			if err := do(c, ctx, w, e, result); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
		return nil
	}
}

// owned does a work as often as there are turns.
func (c *comparison) owned(ctx context.Context, w workload, result *report.Workload) error {
	c.findEngines()
	for turn := range c.options.turns {
		if err := w.own(c, ctx, w, result); err != nil {
			return err
		}
		fmt.Fprintf(c.say, "%s, turn %d:", w.name, turn+1)
		for _, m := range result.Measures {
			fmt.Fprintf(c.say, " %s %.4g;", m.Name, m.Turns[turn])
		}
		fmt.Fprintln(c.say)
	}
	return nil
}

// importing has a gateway import all devices into an empty registry, and another
// one a tenth of them.
func (c *comparison) importing(ctx context.Context, w workload, e engine, result *report.Workload) error {
	few, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	small, err := c.importInto(ctx, w, few, c.options.devices/10)
	if err := errors.Join(err, few.close()); err != nil {
		return err
	}
	if r := c.registries[e]; r != nil {
		delete(c.registries, e)
		if err := r.close(); err != nil {
			return err
		}
	}
	all, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	large, err := c.importInto(ctx, w, all, c.options.devices)
	if err != nil {
		return errors.Join(err, all.close())
	}
	c.keep(e, all)
	result.Measure(e.name+": time", "s", large.elapsed.Seconds(), e.imports.Seconds())
	result.Measure(e.name+": CPU time of the gateway", "s", large.cpu.Seconds())
	if e.postgres {
		result.Measure(e.name+": CPU time of the database", "s", large.database.Seconds())
	}
	result.Measure(e.name+": memory of the gateway at the peak", "MiB", float64(large.peak)/(1<<20))
	result.Measure(e.name+": that, divided by the peak for a tenth as many", "", float64(large.peak)/float64(small.peak), 1.5)
	return nil
}

// An intake is what an import took.
type intake struct {
	elapsed       time.Duration
	cpu, database time.Duration // of the gateway; of PostgreSQL's processes that are still there
	peak          int64         // memory of the gateway
}

func (c *comparison) importInto(ctx context.Context, w workload, r *registry, n int) (i intake, err error) {
	s, err := c.gateway(ctx, w, r)
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	gateway, database, err := r.cpu(s)
	if err != nil {
		return i, err
	}
	if i.elapsed, err = imported(ctx, s, n); err != nil {
		return i, err
	}
	var errCPU error
	i.cpu, i.database, errCPU = r.cpu(s)
	i.cpu, i.database = i.cpu-gateway, i.database-database
	i.peak, err = measure.Peak(s.PIDs)
	return i, errors.Join(errCPU, err)
}

// listing reads the devices of ten sites that are active, page by page.
func (c *comparison) listing(ctx context.Context, w workload, e engine, result *report.Workload) (err error) {
	r, err := c.filled(ctx, w, e)
	if err != nil {
		return err
	}
	s, err := c.gateway(ctx, w, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	for _, filter := range []struct{ about, labels string }{
		{"a label and a state", "site=site-%d"},
		{"two labels and a state", "site=site-%d,model=model-3"},
	} {
		var took []time.Duration
		for site := range 10 {
			pages, devices, err := api(s).Pages(ctx, fmt.Sprintf(filter.labels, site), "active")
			if err == nil && devices == 0 {
				err = fmt.Errorf("no device has %s and is active", fmt.Sprintf(filter.labels, site))
			}
			if err != nil {
				return err
			}
			took = append(took, pages...)
		}
		slices.Sort(took)
		result.Measure(fmt.Sprintf("%s: p99 of pages by %s", e.name, filter.about), "ms", ms(took[len(took)*99/100]), 50)
	}
	return nil
}

// lookingUp asks for devices that a node does not know yet.
func (c *comparison) lookingUp(ctx context.Context, w workload, e engine, result *report.Workload) error {
	r, err := c.filled(ctx, w, e)
	if err != nil {
		return err
	}
	spec := fleet.Spec{Devices: c.options.devices, Lookups: min(5000, c.options.devices)}
	if !e.postgres {
		spec.SQLite = r.file()
	} else {
		spec.Postgres = r.server.Dir
	}
	found, err := spec.Measure(ctx)
	if err != nil {
		return err
	}
	result.Measure(e.name+": p50", "ms", ms(found.P50))
	if e.postgres {
		result.Measure(e.name+": p99", "ms", ms(found.P99))
		result.Measure(e.name+": round trips for each", "", found.Trips, 1)
	} else {
		result.Measure(e.name+": p99", "ms", ms(found.P99), 1)
	}
	return nil
}

// issuing makes certificates, recorded in the authority's ledger alone, and with
// what a registry keeps of a delivery.
func (c *comparison) issuing(ctx context.Context, _ workload, e engine, result *report.Workload) error {
	work := authority.Issue{Devices: min(c.options.devices, 50_000), Callers: 64, Time: c.options.time}
	if !e.postgres {
		perSecond, err := c.issue(ctx, work)
		if err != nil {
			return err
		}
		result.AtLeast("ledger alone: certificates", "/s", perSecond, e.issues)
		syncs, err := measure.Syncs(c.dir, c.options.time/4)
		if err != nil {
			return err
		}
		result.Measure("what the disk does: 4 KiB, synced, one after the other", "/s", syncs)
	}
	r, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	if work.Store, err = openStore(ctx, r); err != nil {
		return errors.Join(err, r.close())
	}
	perSecond, err := c.issue(ctx, work)
	if err := errors.Join(err, work.Store.Close(), r.close()); err != nil {
		return err
	}
	result.AtLeast(fmt.Sprintf("ledger, and deliveries in %s: certificates", e.name), "/s", perSecond, e.issues)
	return nil
}

func openStore(ctx context.Context, r *registry) (*store.Store, error) {
	if r.server != nil {
		return postgres.Open(ctx, postgres.Config{URL: r.server.URL()})
	}
	return sqlite.Open(ctx, sqlite.Config{Path: r.file()})
}

func (c *comparison) issue(ctx context.Context, work authority.Issue) (perSecond float64, err error) {
	dir, err := os.MkdirTemp(c.dir, "authority-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	work.Dir = filepath.Join(dir, "ca")
	return work.Measure(ctx)
}

// signing has the lists of an authority that has revoked many signed.
func (c *comparison) signing(ctx context.Context, _ workload, result *report.Workload) error {
	dir, err := os.MkdirTemp(c.dir, "authority-")
	if err != nil {
		return err
	}
	running, opened, err := authority.Lists(ctx, filepath.Join(dir, "ca"), c.options.revoked)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	result.Measure("by an authority that runs", "s", running.Seconds(), 2)
	result.Measure("by one that is opened first", "s", opened.Seconds(), 2)
	return nil
}
