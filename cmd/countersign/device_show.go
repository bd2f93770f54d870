package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"countersign.dev/client"
	inventory "countersign.dev/internal/control/device"
)

func deviceShow(std stdio) *cobra.Command {
	var node nodeFlags
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Print all that is known of a device",
		Long: `Show prints a device, its certificates, how it gets them, and its trail: what was done
to it, when, by whom and why. Attempts to get its certificate that were refused are
in the trail, one a minute at most. The trail is checked; one that was tampered with
is a failure.` + nodeHelp,
		Example: `  countersign device show 00:1A:2B:3C:4D:5E -c countersign.yaml`,
		Args:    positional("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				f, err := deviceFileOf(ctx, c, args[0])
				if err != nil {
					return err
				}
				if node.json {
					err = printJSON(std.out, f)
				} else {
					err = printDeviceFile(std, f)
				}
				if err == nil && f.TrailFault != "" {
					fmt.Fprintf(std.err, "countersign: %s\n", f.TrailFault)
					return exitCode(1)
				}
				return err
			})
		},
	}
	node.add(cmd)
	return cmd
}

// A deviceFile is a device with how it gets its certificates.
type deviceFile struct {
	*client.DeviceFile
	Enrollment *client.Enrollment `json:"enrollment,omitempty"` // nil: the node has no enrollment
}

func deviceFileOf(ctx context.Context, c *client.Client, id string) (*deviceFile, error) {
	f, err := c.Device(ctx, id)
	if err != nil {
		return nil, err
	}
	e, err := c.Enrollment(ctx, id)
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Code == "device_refused" {
		return &deviceFile{DeviceFile: f}, nil
	}
	return &deviceFile{f, e}, err
}

func printDeviceFile(std stdio, f *deviceFile) error {
	p := newPage("device %s", f.ID)
	p.row("state", "%s", f.State)
	p.row("labels", "%s", orDash(inventory.FormatLabels(f.Labels)))
	if f.Notes != "" {
		p.row("notes", "%q", f.Notes)
	}
	p.row("created", "%s", instant(f.Created))
	p.row("seen", "%s, first %s%s", seenAt(f.LastSeen), seenAt(f.FirstSeen), from(f.LastAddress))
	for _, k := range f.Credentials {
		p.row("credential", "%s of %q, %s, expires %s", k.Serial, k.Issuer, k.State, until(k.NotAfter))
	}
	if e := f.Enrollment; e != nil {
		p.row("claim", "%s%s%s", e.Claim, map[bool]string{true: ", a secret is set"}[e.HasSecret], quotedKey(", key ", e.Key))
		if e.HasBundle {
			p.row("bundle", "uploaded, and not fetched yet")
		}
		for _, w := range e.Waiting {
			p.row("waits", "%s from %s since %s; countersign device approve", w.Key, w.Address, instant(w.Since))
		}
		p.row("delivery", "%s", delivery(e))
	}
	if n, last := refusals(f.Trail); n > 0 {
		p.row("refused", "%s in the trail, the last %s: %s, by %s", count(n, "attempt"), instant(last.At), last.Why, last.Who)
	}
	for _, e := range f.Trail {
		p.row("trail", "%d  %s  %s to %s by %s%s%s", e.Number, instant(e.At), e.What, e.To, e.Who, quoted(": ", e.Why), quoted("; ", e.Detail))
	}
	return p.print(std.out)
}

// delivery says how far a device is on its way to its certificate.
func delivery(e *client.Enrollment) string {
	switch {
	case e.Acknowledged != nil && e.Delivered != nil:
		return fmt.Sprintf("of %s, used first %s%s", instant(*e.Delivered), instant(*e.Acknowledged), quotedKey(", for ", e.TakenBy))
	case e.Delivered != nil:
		return fmt.Sprintf("of %s, not used yet%s", instant(*e.Delivered), quotedKey(", for ", e.TakenBy))
	case e.TakenBy != "":
		return "under way, for " + e.TakenBy
	}
	return "nobody has come for it"
}

func quotedKey(before, key string) string {
	if key == "" {
		return ""
	}
	return before + key
}

// refusals are the attempts to get a certificate that were refused.
func refusals(trail []client.TrailEntry) (n int, last client.TrailEntry) {
	for _, e := range trail {
		if e.What == "refused" {
			n, last = n+1, e
		}
	}
	return n, last
}
