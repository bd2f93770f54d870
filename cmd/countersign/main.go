// Command countersign is a mutual-TLS load balancer with its own device authority.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// stdio is what a command may read and write, so that tests run the same commands.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// An exitCode ends the program with that status and no further message: the
// command has already said what there was to say.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

func main() {
	os.Exit(run(context.Background(), os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// run executes one command line and returns the exit status: 0 well, 1 refused
// or failed, 2 not understood.
func run(ctx context.Context, args []string, std stdio) int {
	root := newRoot(std)
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	understood := false
	onRun(root, func() { understood = true })
	command, err := root.ExecuteContextC(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(std.err, "countersign:", err)
	if !understood {
		fmt.Fprintf(std.err, "see: %s --help\n", command.CommandPath())
		return 2
	}
	return 1
}

// onRun has note called before whichever command runs, which is when its line
// has been understood.
func onRun(c *cobra.Command, note func()) {
	if do := c.RunE; do != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			note()
			return do(c, args)
		}
	}
	for _, sub := range c.Commands() {
		onRun(sub, note)
	}
}

// newRoot lists every command: one constructor a noun, each in its own file.
func newRoot(std stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "countersign",
		Short: "A mutual-TLS load balancer with its own device authority",
		Long: `A mutual-TLS load balancer with its own device authority. "countersign up" shows on
this machine, in seconds, what it does.

The exit status of every command is 0 when it is done, 1 when something was refused
or failed, 2 when the command line was not understood or a node cannot be reached.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newUpCommand(std),
		newServeCommand(std),
		newCheckCommand(std),
		newExplainCommand(std),
		newStatusCommand(std),
		newConnectionsCommand(std),
		newTargetsCommand(std),
		newDeviceCommand(std),
		newTrustCommand(std),
		newCredentialCommand(std),
		newAuditCommand(std),
		newCACommand(std),
		newVersionCommand(std),
	)
	demandCommands(root)
	return root
}
