package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"countersign.dev/client"
)

func newTargetsCommand(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "targets",
		Short: "List the targets of a node, and how they are",
	}
	cmd.AddCommand(targetsList(std))
	return cmd
}

func targetsList(std stdio) *cobra.Command {
	var node nodeFlags
	var group string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the targets in force, whether they are healthy, and what they have to do",
		Long: `List prints the targets of the groups in force as this node sees them: whether each
is healthy, since when and why not, the requests or connections at it now, and what
part of its share it gets.` + nodeHelp,
		Example: `  countersign targets list --target-group broker -c countersign.yaml`,
		Args:    positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				all, err := collected(c.Targets(ctx, group))
				if err != nil {
					return err
				}
				if node.json {
					return printJSON(std.out, all)
				}
				return table(std.out, "TARGET GROUP\tTARGET\tSTATE\tSINCE\tIN FLIGHT\tWEIGHT\tSHARE\tREMARK", func(row func(string, ...any)) {
					for _, t := range all {
						row("%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s", t.TargetGroup, t.Address, t.State, second(t.Since), t.InFlight, t.Weight, share(t), remark(t))
					}
				})
			})
		},
	}
	node.add(cmd)
	cmd.Flags().StringVar(&group, "target-group", "", "those of the group with this `NAME`")
	return cmd
}

// share is what part of what its weight says a target gets; one that is not
// healthy gets nothing, unless its group fails open.
func share(t client.Target) string {
	if t.State != "healthy" {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*t.Share)
}

// remark is what is to be said of a target beyond its state.
func remark(t client.Target) string {
	var remarks []string
	say := func(format string, args ...any) { remarks = append(remarks, fmt.Sprintf(format, args...)) }
	if t.Reason != "" {
		say("%s", t.Reason)
	}
	if t.Name != "" {
		say("found as %s", t.Name)
	}
	if t.EjectedUntil != nil {
		say("left out until %s, because requests failed", second(*t.EjectedUntil))
	}
	if t.ConnectionsEnd != nil {
		say("its connections end at %s", second(*t.ConnectionsEnd))
	}
	if t.SlowStart {
		say("starts slowly")
	}
	return orDash(strings.Join(remarks, "; "))
}
