package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/internal/control/inspect"
)

func trustCheck(std stdio) *cobra.Command {
	var asJSON bool
	soon := lifetime(30 * 24 * time.Hour)
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Find what is wrong with CA bundles and revocation lists, or will be soon",
		Long: `Check reads CA bundles and revocation lists, PEM or DER, as the files of one
trust store, and says what a gateway would refuse (faults), and what it would
take although somebody should look at it (warnings): what ends soon, keys and
signatures that are weak, one CA twice, CAs that look like each other, lists that
no CA of the bundles has signed, what AWS's quotas do not allow. A private key in
a file is an alarm. It needs no configuration and no running node.

The exit status is 0 when there are warnings at most, else 1.`,
		Example: `  countersign trust check --soon 60d pki/ca.crt pki/crl.pem`,
		Args:    atLeast("FILE"),
		RunE: func(_ *cobra.Command, files []string) error {
			now := time.Now()
			report := inspect.Files(files, inspect.Options{Now: now, Soon: time.Duration(soon)})
			if asJSON {
				out := json.NewEncoder(std.out)
				out.SetIndent("", "  ")
				if err := out.Encode(report); err != nil {
					return err
				}
			} else {
				printReport(std.out, report, now)
			}
			if report.Faults() > 0 {
				return exitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON document for programs")
	cmd.Flags().Var(&soon, "soon", "warn of what ends within this `TIME`")
	return cmd
}

func printReport(out io.Writer, r *inspect.Report, now time.Time) {
	screen := &trustScreen{now: now}
	findings := r.Findings
	for _, f := range r.Files {
		switch f.Kind {
		case "bundle":
			fmt.Fprintf(out, "%s: a bundle with %s\n", f.Name, count(len(f.Certificates), "certificate"))
		case "list":
			fmt.Fprintf(out, "%s: %s\n", f.Name, count(len(f.Lists), "revocation list"))
		default:
			fmt.Fprintf(out, "%s:\n", f.Name)
		}
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, c := range f.Certificates {
			fmt.Fprintf(table, "  %s\t%s\t%s\tends %s\n", lineNumber(c.Line), c.Subject, c.Key, screen.at(c.NotAfter))
		}
		for _, l := range f.Lists {
			fmt.Fprintf(table, "  %s\t%s\t%s\tends %s\n", listNumber(l), l.Issuer, fmt.Sprintf("%d revoked", l.Entries), screen.at(l.NextUpdate))
		}
		table.Flush()
		for len(findings) > 0 && findings[0].File == f.Name {
			printFinding(out, findings[0])
			findings = findings[1:]
		}
	}
	if len(findings) > 0 {
		fmt.Fprintln(out, "all together:")
	}
	for _, f := range findings {
		printFinding(out, f)
	}
	faults := r.Faults()
	fmt.Fprintf(out, "%s, %s\n", count(faults, "fault"), count(len(r.Findings)-faults, "warning"))
}

func printFinding(out io.Writer, f inspect.Finding) {
	mark := map[inspect.Severity]string{inspect.Alarm: "ALARM", inspect.Fault: "FAULT", inspect.Warning: "warning"}[f.Severity]
	text := f.What
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	if f.Want != "" {
		text += "; want " + f.Want
	}
	fmt.Fprintf(out, "  %-7s  %s\n", mark, text)
	if f.Hint != "" {
		fmt.Fprintf(out, "           %s\n", f.Hint)
	}
}

func lineNumber(line int) string {
	if line == 0 {
		return "DER"
	}
	return fmt.Sprintf("line %d", line)
}

func listNumber(l inspect.List) string {
	kind := "list"
	if l.Delta {
		kind = "delta list"
	}
	if l.Number == "" {
		return kind + " without number"
	}
	return kind + " number " + l.Number
}
