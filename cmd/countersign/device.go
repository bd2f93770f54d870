package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev"
	"countersign.dev/client"
	inventory "countersign.dev/internal/control/device"
)

func newDeviceCommand(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "device",
		Short: "Provision devices, and change what they may",
	}
	cmd.AddCommand(deviceAdd(std), deviceImport(std), deviceExport(std), deviceList(std), deviceShow(std))
	cmd.AddCommand(deviceClaim(std), deviceApprove(std), deviceBundle(std))
	for _, v := range []struct{ verb, short string }{
		{"ready", "Let a device fetch its certificate"},
		{"suspend", "Keep a device out until it is resumed"},
		{"resume", "Let a suspended device in again"},
		{"revoke", "Cut a device off, and revoke its certificates"},
		{"retire", "Take a device out of service for good"},
	} {
		cmd.AddCommand(deviceVerb(std, v.verb, v.short))
	}
	return cmd
}

func whyFlag(cmd *cobra.Command, why *string, demanded bool) {
	about := "the `REASON`, which the device's trail keeps"
	if demanded {
		about += "; it has to be given"
	}
	cmd.Flags().StringVar(why, "why", "", about)
	if demanded {
		cmd.MarkFlagRequired("why")
	}
}

func deviceAdd(std stdio) *cobra.Command {
	var node nodeFlags
	var d client.NewDevice
	var labels []string
	cmd := &cobra.Command{
		Use:     "add ID",
		Short:   "Provision a device",
		Long:    `Add puts a device into the registry. A MAC address may be given in any spelling.` + nodeHelp,
		Example: `  countersign device add 00:1A:2B:3C:4D:5E --label site=bonn --why "order 4711" -c countersign.yaml`,
		Args:    positional("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if d.Labels, err = inventory.ParseLabels(strings.Join(labels, ";")); err != nil {
				return err
			}
			d.ID = args[0]
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				made, err := c.AddDevice(ctx, d)
				if err != nil {
					return err
				}
				return node.printDevice(std, made)
			})
		},
	}
	node.add(cmd)
	whyFlag(cmd, &d.Why, false)
	cmd.Flags().StringVar(&d.State, "state", "", "the `STATE` to begin with (default provisioned)")
	cmd.Flags().StringVar(&d.Notes, "notes", "", "a `TEXT` for people")
	cmd.Flags().StringArrayVar(&labels, "label", nil, "a label, `KEY=VALUE`; may be given several times")
	return cmd
}

// printDevice says what a device is now.
func (f *nodeFlags) printDevice(std stdio, d *client.Device) error {
	if f.json {
		return printJSON(std.out, d)
	}
	_, err := fmt.Fprintf(std.out, "%s is %s\n", d.ID, d.State)
	return err
}

func deviceVerb(std stdio, verb, short string) *cobra.Command {
	var node nodeFlags
	var why string
	var from []string
	var to countersign.State
	for _, t := range countersign.Transitions() {
		if t.Verb == verb {
			to = t.To
			for _, s := range t.From {
				from = append(from, string(s))
			}
		}
	}
	reason, demanded := "", verb == "suspend" || verb == "revoke" || verb == "retire"
	if demanded {
		reason = ` --why "ticket 7"`
	}
	cmd := &cobra.Command{
		Use:   verb + " ID...",
		Short: short,
		Long: fmt.Sprintf("%s. It is %s then.\nThis is for devices that are %s.\n\nSeveral are done one after the other; the first that is refused ends it.",
			short, to, strings.Join(from, ", ")) + nodeHelp,
		Example: "  countersign device " + verb + " 00:1A:2B:3C:4D:5E" + reason + " -c countersign.yaml",
		Args:    atLeast("ID"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				for _, id := range ids {
					now, err := c.ChangeDevice(ctx, id, verb, why)
					if err != nil {
						return err
					}
					if err := node.printDevice(std, now); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	node.add(cmd)
	whyFlag(cmd, &why, demanded)
	return cmd
}

// deviceFilter are the flags that say which devices are meant.
type deviceFilter struct {
	labels, states        []string
	seenSince, seenBefore string
}

func (f *deviceFilter) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.labels, "label", nil, "with this label, `KEY=VALUE`; given several times, with all of them")
	flags.StringSliceVar(&f.states, "state", nil, "in this `STATE`; several, separated by commas, are any of them")
	flags.StringVar(&f.seenSince, "seen-since", "", "last seen at this `TIME` or later: 2026-03-01, 2026-03-01T12:00:00Z, or 30d for as long ago")
	flags.StringVar(&f.seenBefore, "seen-before", "", "last seen before this `TIME`, or never")
}

func (f *deviceFilter) filter() (client.DeviceFilter, error) {
	out := client.DeviceFilter{States: f.states}
	var err error
	if out.Labels, err = inventory.ParseLabels(strings.Join(f.labels, ";")); err != nil {
		return out, err
	}
	if out.SeenSince, err = moment("--seen-since", f.seenSince); err != nil {
		return out, err
	}
	out.SeenBefore, err = moment("--seen-before", f.seenBefore)
	return out, err
}

// moment reads a time, or how long ago it was.
func moment(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	var ago lifetime
	if err := ago.Set(s); err != nil {
		return time.Time{}, fmt.Errorf("%s %q: want a time such as 2026-03-01 or 2026-03-01T12:00:00Z, or how long ago: 12h, 30d", flag, s)
	}
	return time.Now().Add(-time.Duration(ago)), nil
}

func deviceList(std stdio) *cobra.Command {
	var node nodeFlags
	var which deviceFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List devices",
		Long: `List prints the devices for which every filter holds, in the order of their ids; with
--seen-since or --seen-before in the order in which they were last seen.` + nodeHelp,
		Example: `  countersign device list --state active,suspended --label site=bonn -c countersign.yaml
  countersign device list --seen-before 30d -c countersign.yaml`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := which.filter()
			if err != nil {
				return err
			}
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				if node.json {
					all, err := collected(c.Devices(ctx, filter))
					if err != nil {
						return err
					}
					return printJSON(std.out, all)
				}
				var failed error
				err := table(std.out, "ID\tSTATE\tLAST SEEN\tLABELS", func(row func(string, ...any)) {
					for d, err := range c.Devices(ctx, filter) {
						if err != nil {
							failed = err
							return
						}
						row("%s\t%s\t%s\t%s", d.ID, d.State, seenAt(d.LastSeen), orDash(inventory.FormatLabels(d.Labels)))
					}
				})
				if failed != nil {
					return failed
				}
				return err
			})
		},
	}
	node.add(cmd)
	which.add(cmd)
	return cmd
}

func seenAt(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return instant(*t)
}

func from(address string) string {
	if address == "" {
		return ""
	}
	return ", from " + address
}

func quoted(before, s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%s%q", before, s)
}
