package main

import (
	"context"
	"errors"

	"countersign.dev/bench/peer"
	"countersign.dev/bench/report"
)

// adding has two gateways do the work of the load by turns, of which the second has
// what w asks for beside. bare and more are what they are called.
func adding(bare, more string) own {
	return func(c *comparison, ctx context.Context, w workload, result *report.Workload) error {
		return c.adding(ctx, w, result, bare, more)
	}
}

func (c *comparison) adding(ctx context.Context, w workload, result *report.Workload, bare, more string) (err error) {
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
	var none, all, adds []float64
	for pair := range c.options.pairs {
		var cpu [2]float64
		for i := range cpu {
			which := (pair + i) % 2
			if cpu[which], err = c.perRequest(ctx, w, []*peer.Server{without, with}[which]); err != nil {
				return err
			}
		}
		none, all, adds = append(none, cpu[0]), append(all, cpu[1]), append(adds, cpu[1]-cpu[0])
	}
	result.Measure("CPU time of a request, "+bare, "µs", report.Median(none))
	result.Measure("CPU time of a request, "+more, "µs", report.Median(all))
	result.Measure("median of what "+more+" adds, in ten pairs of turns", "µs", report.Median(adds), 2)
	return nil
}
