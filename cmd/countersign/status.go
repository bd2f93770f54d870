package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/client"
)

func newStatusCommand(std stdio) *cobra.Command {
	var node nodeFlags
	var reload bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is in force on a node, and what came of the last reload",
		Long: `Status prints the snapshot that is in force, the sources it is fetched from, and
what came of the last attempt to replace it. With --reload, the node reads its
configuration again first.

The exit status is also 1 when the last configuration was refused.` + nodeHelp,
		Example: `  countersign status -c countersign.yaml
  countersign status --reload --address 10.0.0.5:9901 --cert operator.crt --key operator.key`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				ask := c.Snapshot
				if reload {
					ask = c.Reload
				}
				s, err := ask(ctx)
				if err != nil {
					return err
				}
				if node.json {
					err = printJSON(std.out, s)
				} else {
					err = printStatus(std, s)
				}
				if err == nil && !s.LastReload.Accepted {
					return exitCode(1)
				}
				return err
			})
		},
	}
	node.add(cmd)
	cmd.Flags().BoolVar(&reload, "reload", false, "have the configuration read again first")
	return cmd
}

func printStatus(std stdio, s *client.Snapshot) error {
	p := newPage("countersign %s with %s", s.Version, s.Configuration)
	p.row("snapshot", "%d, in force since %s", s.Number, instantAt(s.Since))
	if s.Draining {
		p.row("draining", "it takes no new work")
	}
	p.row("connections", "%d", s.Connections)
	for _, l := range s.Listeners {
		bound := l.Bound
		if bound == "" {
			bound = l.Address
		}
		p.row("listener", "%s at %s", l.Name, bound)
	}
	for _, source := range s.Sources {
		state := "good"
		if !source.Good {
			state = source.Fault
		}
		if source.Checked != nil {
			state += ", known to be what the server has " + instantAt(*source.Checked)
		}
		p.row("source", "%s: %s", source.Name, state)
	}
	outcome := "accepted"
	if !s.LastReload.Accepted {
		outcome = "REFUSED; the snapshot above stays in force"
	}
	p.row("last reload", "%s, because %s: %s", instantAt(s.LastReload.At), s.LastReload.Because, outcome)
	if s.LastReload.Error != "" {
		p.row("", "%s", s.LastReload.Error)
	}
	if err := p.print(std.out); err != nil {
		return err
	}
	for _, f := range s.LastReload.Faults {
		fmt.Fprintln(std.out, f.Text)
	}
	return nil
}

// instantAt is an instant, with how far it is away.
func instantAt(t time.Time) string { return (&trustScreen{now: time.Now()}).at(t) }
