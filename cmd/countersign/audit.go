package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/audit"
)

func newAuditCommand(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Look at the trail of what operators changed",
		Long: `A node writes down every change that the management API is asked for, in
audit.jsonl in its data_dir: who, when, from where, what, and what came of it. Each
line has the SHA-256 of the line before. The file is read where it is; no node is
asked.`,
	}
	cmd.AddCommand(auditShow(std), auditVerify(std))
	return cmd
}

// trailFlags say where a trail is.
func trailFlags(cmd *cobra.Command, file, configuration *string) {
	cmd.Flags().StringVar(file, "file", "", "the `FILE`")
	cmd.Flags().StringVarP(configuration, "config", "c", "", "the configuration `FILE` of the node")
	cmd.Args = func(c *cobra.Command, args []string) error {
		if *file == "" && *configuration == "" {
			return errors.New("say which trail: -c FILE, the configuration of the node, or --file FILE, the trail itself")
		}
		return positional()(c, args)
	}
	cmd.MarkFlagsMutuallyExclusive("file", "config")
	cmd.MarkFlagFilename("config", "yaml", "yml")
}

func openTrail(file, configuration string) (*os.File, error) {
	if configuration != "" {
		cfg, faults := config.Inspect(configuration)
		switch {
		case cfg == nil:
			return nil, faults
		case cfg.Node.DataDir == "":
			return nil, fmt.Errorf("%s has no node.data_dir, so there is no audit trail", configuration)
		}
		file = filepath.Join(cfg.Node.DataDir, audit.Name)
	}
	return os.Open(file)
}

func auditShow(std stdio) *cobra.Command {
	var file, configuration string
	var lines bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the trail",
		Long: `Show prints the trail, and ends with exit status 1 at a line that is not what was
written.`,
		Example: `  countersign audit show -c countersign.yaml`,
		RunE: func(*cobra.Command, []string) error {
			f, err := openTrail(file, configuration)
			if err != nil {
				return err
			}
			defer f.Close()
			var broken error
			rows := func(row func(string, ...any)) {
				for line, err := range audit.Lines(f) {
					if broken = err; err != nil {
						return
					}
					e := line.Entry
					if lines {
						fmt.Fprintf(std.out, "%s\n", line.Text)
						continue
					}
					what := e.Method + " " + e.Path
					if e.Query != "" {
						what += "?" + e.Query
					}
					outcome := e.Detail
					if e.Code != "" {
						outcome = e.Code
					}
					row("%d\t%s\t%s\t%d\t%s\t%s\t%q\t%s", e.Sequence, e.Time.Format("2006-01-02T15:04:05.000Z"), e.Event, e.Request, e.Who, e.From, what, orDash(outcome))
				}
			}
			if lines {
				rows(nil)
			} else if err := table(std.out, "LINE\tTIME\tEVENT\tREQUEST\tWHO\tFROM\tWHAT\tOUTCOME", rows); err != nil {
				return err
			}
			return broken
		},
	}
	trailFlags(cmd, &file, &configuration)
	cmd.Flags().BoolVar(&lines, "json", false, "print the lines as they are")
	return cmd
}

func auditVerify(std stdio) *cobra.Command {
	var file, configuration, seen string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that no line of the trail was changed",
		Long: `Verify checks that each line has the SHA-256 of the line before, and prints that of
the last one. A trail that was cut, or written anew from some line on, is whole in
itself: give --seen with a digest that the node wrote into its program log
("msg=audit"), or that you noted before. The line must still be there.`,
		Example: `  countersign audit verify --file audit.jsonl --seen 23211e0f...`,
		RunE: func(*cobra.Command, []string) error {
			f, err := openTrail(file, configuration)
			if err != nil {
				return err
			}
			defer f.Close()
			verdict, err := audit.Verify(f, seen)
			if err != nil {
				return fmt.Errorf("%s is not as it was written: %w", f.Name(), err)
			}
			if verdict.Entries == 0 {
				fmt.Fprintf(std.out, "%s has no line\n", f.Name())
				return nil
			}
			fmt.Fprintf(std.out, "%s: %s, each as it was written; the last one is sha256 %s\n", f.Name(), count(int(verdict.Entries), "line"), verdict.Last)
			return nil
		},
	}
	trailFlags(cmd, &file, &configuration)
	cmd.Flags().StringVar(&seen, "seen", "", "the `SHA-256` of a line that must be there")
	return cmd
}
