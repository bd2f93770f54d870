package main

import (
	"context"
	"errors"
	"time"

	"countersign.dev/bench/fleet"
	"countersign.dev/bench/load"
	"countersign.dev/bench/peer"
	"countersign.dev/bench/report"
	"countersign.dev/internal/control/ca/pemfile"
)

// enforcing has two gateways do the work of the load by turns, of which the second
// serves active devices alone, and then the decision be made without all else.
func (c *comparison) enforcing(ctx context.Context, w workload, result *report.Workload) (err error) {
	e := c.engines[0]
	r, err := c.filled(ctx, w, e)
	if err != nil {
		return err
	}
	off, err := c.start(ctx, workload{load: w.load}, c.servers[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, off.Stop()) }()
	w.enforce = true
	enforce, err := c.gateway(ctx, w, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, enforce.Stop()) }()
	var without, with, adds []float64
	for pair := range c.options.pairs {
		var cpu [2]float64 // off, enforce
		for i := range cpu {
			which := (pair + i) % 2
			if cpu[which], err = c.perRequest(ctx, w, []*peer.Server{off, enforce}[which]); err != nil {
				return err
			}
		}
		without, with, adds = append(without, cpu[0]), append(with, cpu[1]), append(adds, cpu[1]-cpu[0])
	}
	result.Measure("CPU time of a request, devices: off", "µs", report.Median(without))
	result.Measure("CPU time of a request, devices: enforce", "µs", report.Median(with))
	result.Measure("median of what it adds, in ten pairs of turns", "µs", report.Median(adds), 2)
	return c.deciding(ctx, r, result)
}

// perRequest is the CPU time of a request, in microseconds.
func (c *comparison) perRequest(ctx context.Context, w workload, s *peer.Server) (float64, error) {
	t, _, err := c.work(ctx, w.load, load.Spec{}, s)
	if err == nil && t.Errors > 0 {
		err = errors.New(t.Error)
	}
	if err != nil {
		return 0, err
	}
	return float64(t.CPU) / float64(time.Microsecond) / float64(max(t.Operations, 1)), nil
}

// deciding measures the decision about a request alone, in a node that knows
// all devices.
func (c *comparison) deciding(ctx context.Context, r *registry, result *report.Workload) error {
	root, errRoot := pemfile.ReadCertificate(c.files.Root)
	chain, errChain := pemfile.ReadChain(c.files.Clients[0].Cert)
	if err := errors.Join(errRoot, errChain); err != nil {
		return err
	}
	s, err := openStore(ctx, r)
	if err != nil {
		return err
	}
	each, allocations, err := fleet.Decision{Store: s, Devices: c.options.devices, Root: root, Chain: chain, Times: 1_000_000}.Measure(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	result.Measure("the decision alone, when all devices are known", "ns", float64(each.Nanoseconds()))
	result.Measure("allocations in a million decisions", "", float64(allocations), 0)
	return nil
}
