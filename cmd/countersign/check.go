package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
				faults = append(faults, unwritable(draft.Config)...).Sorted()
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

// unwritable says where serve could not write what cfg has it write. A directory
// that is not there is a warning: who starts the program may make it before.
func unwritable(cfg *config.Config) config.Faults {
	faults := fileForDataDir(cfg)
	for path, file := range logFiles(cfg.Logs) {
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			faults = append(faults, cfg.Fault(path, file+", which is a directory", "a file", "add the name of the file: "+filepath.Join(file, "NAME.log")))
			continue
		}
		dir := filepath.Dir(file)
		switch info, err := os.Stat(dir); {
		case errors.Is(err, fs.ErrNotExist):
			faults = append(faults, cfg.Warn(path, fmt.Sprintf("%s, but no directory %s", file, dir), "", "make it before the program starts: mkdir -p "+quote(dir)))
		case err == nil && !info.IsDir():
			faults = append(faults, cfg.Fault(path, fmt.Sprintf("%s, but %s is a file", file, dir), "a directory with the log in it", ""))
		}
	}
	return faults
}

// fileForDataDir is the fault of a node.data_dir that is a file. A reload has to
// find it too: the management API would end with it.
func fileForDataDir(cfg *config.Config) config.Faults {
	dir := cfg.Node.DataDir
	if dir == "" {
		return nil
	}
	if info, err := os.Stat(dir); err != nil || info.IsDir() {
		return nil
	}
	return config.Faults{cfg.Fault("node.data_dir", dir+", which is a file", "a directory", "name another one; it is made if it is not there")}
}

// logFiles are the files of the logs, by the keys that name them.
func logFiles(l config.Logs) map[string]string {
	files := map[string]string{}
	if c := l.Connection; c != nil && c.Path != "-" {
		files["logs.connection.path"] = c.Path
	}
	if a := l.Access; a != nil && a.Path != "-" {
		files["logs.access.path"] = a.Path
	}
	return files
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
