package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"countersign.dev/client"
)

func trustStage(std stdio) *cobra.Command {
	var node nodeFlags
	var source string
	cmd := &cobra.Command{
		Use:   "stage NAME FILE",
		Short: "Stage a CA bundle or revocation lists for a trust store, to see what they would do",
		Long: `Stage sends FILE to a node, which keeps it as the candidate for its trust store
NAME, in the place of one that was staged before. Nothing comes into force. FILE is
a CA bundle or has revocation lists, and would take the place of the trust store's
own; where that has several of the kind, say which with --for. What a reload would
refuse is refused, with all faults.` + nodeHelp,
		Example: `  countersign trust stage fleet new-ca.crt -c countersign.yaml`,
		Args:    positional("NAME", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			content, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				staged, err := c.Stage(ctx, args[0], source, content)
				if err != nil {
					return err
				}
				if node.json {
					return printJSON(std.out, staged)
				}
				p := candidatePage(staged)
				p.try("countersign trust diff %s", args[0])
				return p.print(std.out)
			})
		},
	}
	node.add(cmd)
	cmd.Flags().StringVar(&source, "for", "", "the `FILE` or URL of the trust store whose place it would take")
	return cmd
}

func candidatePage(c *client.Candidate) *page {
	p := newPage("candidate for trust store %s", c.TrustStore)
	p.row("kind", "%s, %s", c.Kind, count(c.Size, "byte"))
	p.row("for", "%s", c.For)
	p.row("sha256", "%s", c.SHA256)
	p.row("staged", "%s", instantAt(c.StagedAt))
	for _, w := range c.Warnings {
		p.row("warning", "%s", w)
	}
	return p
}

func trustStaged(std stdio) *cobra.Command {
	var node nodeFlags
	cmd := &cobra.Command{
		Use:     "staged",
		Short:   "List what is staged",
		Long:    `Staged lists the candidates of a node's trust stores.` + nodeHelp,
		Example: `  countersign trust staged -c countersign.yaml`,
		Args:    positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				all, err := collected(c.Candidates(ctx))
				if err != nil {
					return err
				}
				if node.json {
					return printJSON(std.out, all)
				}
				return table(std.out, "TRUST STORE\tKIND\tFOR\tSTAGED\tSHA256", func(row func(string, ...any)) {
					for _, k := range all {
						row("%s\t%s\t%s\t%s\t%s", k.TrustStore, k.Kind, k.For, instantAt(k.StagedAt), k.SHA256)
					}
				})
			})
		},
	}
	node.add(cmd)
	return cmd
}

func trustDiff(std stdio) *cobra.Command {
	var node nodeFlags
	var limit int
	cmd := &cobra.Command{
		Use:   "diff NAME",
		Short: "Say which clients would be refused under what is staged",
		Long: `Diff holds the certificate of every client that is connected, or that the node has
seen, against the candidate of the trust store NAME, as a handshake would, and says
who would be refused that is accepted today, and why; which authorities come and
go, and which of them nobody needs; what is new on revocation lists.

Whose holder has come with a newer certificate since, which would be accepted, is
counted as replaced, not as refused.

The exit status is also 1 when clients would be refused.` + nodeHelp,
		Example: `  countersign trust diff fleet -c countersign.yaml`,
		Args:    positional("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				d, err := c.Diff(ctx, args[0], limit)
				if err != nil {
					return err
				}
				if node.json {
					err = printJSON(std.out, d)
				} else {
					err = printDiff(std.out, d)
				}
				if err == nil && d.Refused > 0 {
					return exitCode(1)
				}
				return err
			})
		},
	}
	node.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "name at most `N` clients of each sort")
	return cmd
}

func printDiff(out io.Writer, d *client.Diff) error {
	p := candidatePage(&d.Candidate)
	countDiff(p, d)
	if err := p.print(out); err != nil {
		return err
	}
	if len(d.Anchors) > 0 {
		fmt.Fprintln(out, "\nauthorities")
		err := table(out, "  CHANGE\tSUBJECT\tSERIAL\tCLIENTS\tCONNECTED\tLAST USED\tENDS", func(row func(string, ...any)) {
			for _, a := range d.Anchors {
				used := "-"
				if !a.LastUsed.IsZero() {
					used = instant(a.LastUsed)
				}
				clients := fmt.Sprint(a.Clients)
				if a.Unused {
					clients = "unused"
				}
				row("  %s\t%s\t%s\t%s\t%d\t%s\t%s", a.Change, a.Subject, a.Serial, clients, a.Connected, used, until(a.NotAfter))
			}
		})
		if err != nil {
			return err
		}
		for _, a := range d.Anchors {
			for _, r := range a.Relations {
				fmt.Fprintf(out, "  %s (%s): %s\n", a.Subject, a.Serial, r)
			}
		}
	}
	if len(d.Lists) > 0 {
		fmt.Fprintln(out, "\nrevocation lists")
		err := table(out, "  CHANGE\tISSUER\tNUMBER\tBEFORE\tENTRIES\tADDED\tREMOVED\tOF\tUNTIL", func(row func(string, ...any)) {
			for _, l := range d.Lists {
				row("  %s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s", l.Change, l.Issuer, orDash(l.Number), orDash(l.Before), l.Entries, l.Added, l.Removed,
					instant(l.ThisUpdate), until(l.NextUpdate))
			}
		})
		if err != nil {
			return err
		}
	}
	for _, part := range []struct {
		title   string
		clients []client.DiffClient
		all     int
	}{
		{"would be refused", d.RefusedClients, d.Refused},
		{"would be accepted again", d.AdmittedClients, d.Admitted},
		{"replaced since by a newer certificate", d.ReplacedClients, d.Replaced},
	} {
		if err := printClients(out, part.title, part.clients, part.all); err != nil {
			return err
		}
	}
	for _, note := range d.Notes {
		fmt.Fprintf(out, "\nnote: %s\n", note)
	}
	if !d.Candidate.Remote {
		next := ""
		if d.Refused > 0 {
			next = fmt.Sprintf(" --refuse %d", d.Refused)
		}
		fmt.Fprintf(out, "\nNext:\n  countersign trust commit %s%s\n  countersign trust abort %s\n", d.Candidate.TrustStore, next, d.Candidate.TrustStore)
	}
	return nil
}

// countDiff puts the numbers on a page.
func countDiff(p *page, d *client.Diff) {
	p.row("asked", "%s: %d connected, %d remembered", count(d.Asked, "certificate"), d.Connected, d.Asked-d.Connected)
	p.row("accepted", "%d", d.Accepted)
	switch d.Refused {
	case 0:
		p.row("refused", "0 of those accepted today")
	default:
		p.row("refused", "%d, of whom %d are connected and lose their connections%s", d.Refused, d.Cut, codes(d.Codes))
	}
	if d.Admitted > 0 {
		p.row("again", "%d are refused today and would be accepted", d.Admitted)
	}
	if d.Replaced > 0 {
		p.row("replaced", "%d would be refused whose holders have come with a newer certificate since", d.Replaced)
	}
	if d.Already > 0 {
		p.row("already", "%d are refused today as well", d.Already)
	}
}

func codes(all map[string]int) string {
	var out []string
	for code, n := range all {
		out = append(out, fmt.Sprintf("%d %s", n, code))
	}
	if len(out) == 0 {
		return ""
	}
	slices.Sort(out)
	return " (" + strings.Join(out, ", ") + ")"
}

func printClients(out io.Writer, title string, clients []client.DiffClient, all int) error {
	if len(clients) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%s\n", title)
	reasons := map[string]string{} // one for each code: those of a hundred clients differ in their names
	err := table(out, "  SUBJECT\tSERIAL\tSEEN\tLISTENER\tCODE", func(row func(string, ...any)) {
		for _, k := range clients {
			seen := "connected"
			if !k.Connected {
				seen = instant(k.LastSeen)
			}
			row("  %s\t%s\t%s\t%s\t%s", k.Subject, k.Serial, seen, k.Listener, k.Code)
			if reasons[k.Code] == "" {
				reasons[k.Code] = k.Reason
			}
		}
	})
	for _, code := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(out, "  %s, for one: %s\n", code, reasons[code])
	}
	if err == nil && len(clients) < all {
		_, err = fmt.Fprintf(out, "  and %d more: --limit %d names them\n", all-len(clients), all)
	}
	return err
}

func trustCommit(std stdio) *cobra.Command {
	var node nodeFlags
	var refuse int
	cmd := &cobra.Command{
		Use:   "commit NAME [--refuse N]",
		Short: "Put what is staged into its place and into force",
		Long: `Commit replaces the file of the trust store NAME by the candidate that is staged
for it, in one step, with the same mode and owner, and has the node read it. What
was there is kept beside it, as FILE.before-TIME.

It is refused if clients would be refused by it that are accepted today, more than
--refuse allows: the number that trust diff gives. It is refused, too, if FILE is
not what it was when the candidate was staged.` + nodeHelp,
		Example: `  countersign trust commit fleet -c countersign.yaml
  countersign trust commit fleet --refuse 3 -c countersign.yaml`,
		Args: positional("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				done, err := c.Commit(ctx, args[0], refuse)
				if err != nil {
					return err
				}
				if node.json {
					return printJSON(std.out, done)
				}
				p := newPage("%s is in force with what was staged for trust store %s", done.File, args[0])
				p.row("snapshot", "%d", done.Snapshot)
				countDiff(p, &done.Diff)
				p.row("kept", "%s", done.Kept)
				p.try("the way back: countersign trust stage %s %s", args[0], filepath.Base(done.Kept))
				return p.print(std.out)
			})
		},
	}
	node.add(cmd)
	cmd.Flags().IntVar(&refuse, "refuse", 0, "let at most `N` clients be refused that are accepted today")
	return cmd
}

func trustAbort(std stdio) *cobra.Command {
	var node nodeFlags
	cmd := &cobra.Command{
		Use:     "abort NAME",
		Short:   "Forget what is staged",
		Long:    `Abort forgets the candidate of the trust store NAME.` + nodeHelp,
		Example: `  countersign trust abort fleet -c countersign.yaml`,
		Args:    positional("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				gone, err := c.Abort(ctx, args[0])
				if err != nil {
					return err
				}
				if node.json {
					return printJSON(std.out, gone)
				}
				_, err = fmt.Fprintf(std.out, "the %s staged for %s is forgotten; nothing else has changed\n", gone.Kind, gone.For)
				return err
			})
		},
	}
	node.add(cmd)
	return cmd
}
