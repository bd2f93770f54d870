package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev"
	"countersign.dev/client"
	inventory "countersign.dev/internal/control/device"
)

// formatOf is what --format says, or the name of the file.
func formatOf(word, file string) (inventory.Format, error) {
	if word == "" {
		word = string(inventory.CSV)
		for _, ending := range []string{".jsonl", ".ndjson", ".jsonlines"} {
			if strings.HasSuffix(strings.ToLower(file), ending) {
				word = string(inventory.JSONLines)
			}
		}
	}
	return inventory.ParseFormat(word)
}

func deviceImport(std stdio) *cobra.Command {
	var node nodeFlags
	var how client.DeviceImport
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Add and update the devices of a list",
		Long: `Import adds the devices of a list, and brings the labels and notes of known ones up
to date, as far as the list has them. Their state stays: that has verbs of its own.
To import a list again changes nothing. - is standard input.

The first line of a CSV file names the columns: id, and any of state (of new
devices), notes, labels (key=value;key=value) and label.KEY. JSON lines are objects
with id, state, notes and labels. What export writes can be imported.

Every line that is bad is reported. Unless --continue is given, one of them has
nothing imported at all.` + nodeHelp,
		Example: `  countersign device import fleet.csv --why "order 4711" -c countersign.yaml`,
		Args:    positional("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := formatOf(how.Format, args[0])
			if err != nil {
				return err
			}
			how.Format = string(format)
			list := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				list = f
			}
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				sent := progress(list, std.err)
				report, err := c.ImportDevices(ctx, sent, how)
				sent.end()
				if err != nil {
					return err
				}
				return printImport(std, node.json, report)
			})
		},
	}
	node.add(cmd)
	whyFlag(cmd, &how.Why, false)
	cmd.Flags().StringVar(&how.Format, "format", "", "csv or jsonlines (default by the name of the file, else csv)")
	cmd.Flags().BoolVar(&how.Continue, "continue", false, "import the good lines though others are bad")
	return cmd
}

func printImport(std stdio, asJSON bool, r *client.DeviceImportReport) error {
	if asJSON {
		if err := printJSON(std.out, r); err != nil {
			return err
		}
	} else {
		for _, l := range r.Lines {
			fmt.Fprintf(std.err, "line %d: %s\n", l.Line, l.Why)
		}
		if more := r.Refused - len(r.Lines); more > 0 {
			fmt.Fprintf(std.err, "... and %s more\n", count(more, "line"))
		}
		fmt.Fprintf(std.out, "%s: %d created, %d updated, %d unchanged, %d refused\n", count(r.Read, "device"), r.Created, r.Updated, r.Unchanged, r.Refused)
	}
	if r.Refused > 0 {
		return exitCode(1)
	}
	return nil
}

// A sending counts what is sent, and shows it to a person who waits.
type sending struct {
	io.Reader
	to    io.Writer // nil: nobody looks
	bytes int64
	next  time.Time
}

func progress(list io.Reader, to io.Writer) *sending {
	s := &sending{Reader: list, next: time.Now().Add(time.Second)}
	if f, ok := to.(*os.File); ok {
		if i, err := f.Stat(); err == nil && i.Mode()&os.ModeCharDevice != 0 {
			s.to = to
		}
	}
	return s
}

func (s *sending) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.bytes += int64(n)
	if s.to != nil && (time.Now().After(s.next) || errors.Is(err, io.EOF)) {
		s.next = time.Now().Add(time.Second)
		what := "sent"
		if errors.Is(err, io.EOF) {
			what = "sent, being imported"
		}
		fmt.Fprintf(s.to, "\r%d KiB %s ", s.bytes>>10, what)
	}
	return n, err
}

func (s *sending) end() {
	if s.to != nil {
		fmt.Fprintln(s.to)
	}
}

func deviceExport(std stdio) *cobra.Command {
	var node nodeFlags
	var which deviceFilter
	var word string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write devices as CSV or JSON lines",
		Long:    `Export writes the devices for which every filter holds to standard output.` + nodeHelp,
		Example: `  countersign device export --state active -c countersign.yaml > fleet.csv`,
		Args:    positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := which.filter()
			if err != nil {
				return err
			}
			format, err := formatOf(word, "")
			if err != nil {
				return err
			}
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				_, err := inventory.Export(exported(c.Devices(ctx, filter)), format, std.out)
				return err
			})
		},
	}
	node.add(cmd)
	which.add(cmd)
	cmd.Flags().StringVar(&word, "format", "", "csv or jsonlines (default csv)")
	return cmd
}

func exported(all iter.Seq2[client.Device, error]) iter.Seq2[countersign.Device, error] {
	return func(yield func(countersign.Device, error) bool) {
		for d, err := range all {
			out := countersign.Device{ID: d.ID, State: countersign.State(d.State), Labels: d.Labels, Notes: d.Notes, Created: d.Created}
			if d.FirstSeen != nil {
				out.FirstSeen = *d.FirstSeen
			}
			if d.LastSeen != nil {
				out.LastSeen = *d.LastSeen
			}
			out.LastAddress, _ = netip.ParseAddr(d.LastAddress) // what is not there is not valid
			if !yield(out, err) {
				return
			}
		}
	}
}
