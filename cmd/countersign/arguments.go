package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// positional demands exactly these arguments, and says which one is missing.
func positional(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return fmt.Errorf("%q is one argument too many: usage: %s", args[len(names)], c.UseLine())
		}
		return atLeast(names...)(c, args)
	}
}

// atLeast demands these arguments, the last one once or more often.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing: usage: %s", names[len(args)], c.UseLine())
		}
		return nil
	}
}

// demandCommands has every command that is only there for others refuse words that
// are none of them: cobra would print its help, and end well.
func demandCommands(c *cobra.Command) {
	if c.Runnable() || !c.HasSubCommands() {
		return
	}
	c.SuggestionsMinimumDistance = 2
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		err := fmt.Errorf("%q is no command of %s: expected %s", args[0], c.CommandPath(), strings.Join(names, ", "))
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			err = fmt.Errorf("%w; did you mean %s?", err, near[0])
		}
		return err
	}
	for _, sub := range c.Commands() {
		demandCommands(sub)
	}
}
