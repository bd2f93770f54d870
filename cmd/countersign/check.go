package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
)

func newCheckCommand(std stdio) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a configuration and everything it names, and report every fault at once",
		Long: `Check reads a configuration with every certificate, key, bundle and revocation
list that it names, exactly as serve does, and reports all that is wrong with
it. It opens no port and no log, and starts nothing. The exit status is 0 when
the configuration would come into force, perhaps with warnings, else 1.`,
		Example: `  countersign check -c countersign.yaml && systemctl reload countersign`,
		Args:    positional(),
		RunE: func(c *cobra.Command, _ []string) error {
			draft, faults := publish.Read(c.Context(), file, publish.Options{}, nil)
			if draft != nil {
				faults = append(faults, publish.Unwritable(draft.Config)...).Sorted()
			}
			if draft == nil || faults.Err() != nil {
				fmt.Fprintf(std.err, "%s\n%s\n", faults.Error(), summary(faults))
				return exitCode(1)
			}
			if len(faults) > 0 {
				fmt.Fprintln(std.err, faults.Error())
			}
			fmt.Fprintf(std.out, "%s is good: %s, %s, %s\n", file,
				count(len(draft.Listeners), "listener"), count(len(draft.Stores), "trust store"), count(len(draft.Groups), "target group"))
			return nil
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// configFlag is -c, the same for every command that has it.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "", "the configuration `FILE`")
	cmd.MarkFlagRequired("config")
	cmd.MarkFlagFilename("config", "yaml", "yml")
}

func summary(faults config.Faults) string {
	bad := 0
	for _, f := range faults {
		if !f.Warning {
			bad++
		}
	}
	if warnings := len(faults) - bad; warnings > 0 {
		return fmt.Sprintf("%s, %s", count(bad, "fault"), count(warnings, "warning"))
	}
	return count(bad, "fault")
}
