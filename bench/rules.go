package main

import (
	"context"
	"errors"

	"countersign.dev/bench/peer"
	"countersign.dev/bench/report"
)

// ruling has two gateways do the work of the load by turns, of which the second has
// rules.
func (c *comparison) ruling(ctx context.Context, w workload, result *report.Workload) (err error) {
	without, err := c.start(ctx, workload{load: w.load}, c.servers[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, without.Stop()) }()
	with, err := c.start(ctx, w, c.servers[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, with.Stop()) }()
	var none, ruled, adds []float64
	for pair := range c.options.pairs {
		var cpu [2]float64
		for i := range cpu {
			which := (pair + i) % 2
			if cpu[which], err = c.perRequest(ctx, w, []*peer.Server{without, with}[which]); err != nil {
				return err
			}
		}
		none, ruled, adds = append(none, cpu[0]), append(ruled, cpu[1]), append(adds, cpu[1]-cpu[0])
	}
	result.Measure("CPU time of a request, without rules", "µs", report.Median(none))
	result.Measure("CPU time of a request, a hundred rules", "µs", report.Median(ruled))
	result.Measure("median of what they add, in ten pairs of turns", "µs", report.Median(adds), 2)
	return nil
}
