package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Whoever asks a command for help sees how it is called, by a line that it
// understands.
func TestEveryCommandHasAnExampleThatItUnderstands(t *testing.T) {
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		if c.HasSubCommands() || c.Name() == "version" {
			return
		}
		if c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, line := range strings.Split(c.Example, "\n") {
			understood(t, c.CommandPath(), strings.TrimSpace(line))
		}
	}
	look(newRoot(stdio{nil, io.Discard, io.Discard}))
}

// understood parses line as the command path, and does not run it.
func understood(t *testing.T, path, line string) {
	root := newRoot(stdio{nil, io.Discard, io.Discard})
	c, rest, err := root.Find(shellWords(t, line)[1:])
	if err != nil || c.CommandPath() != path {
		t.Errorf("%s: the example %q is of %s: %v", path, line, c.CommandPath(), err)
		return
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%s: the example %q: %v", path, line, err)
		return
	}
	for _, check := range []func() error{
		func() error { return c.ValidateArgs(c.Flags().Args()) }, c.ValidateRequiredFlags, c.ValidateFlagGroups,
	} {
		if err := check(); err != nil {
			t.Errorf("%s: the example %q: %v", path, line, err)
		}
	}
}

// shellWords splits a line as a shell does, up to the first operator.
func shellWords(t *testing.T, line string) []string {
	line, _, _ = strings.Cut(line, " > ")
	line, _, _ = strings.Cut(line, " && ")
	var all []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	if len(all) < 2 || all[0] != "countersign" {
		t.Fatalf("%q is no call of countersign", line)
	}
	return all
}
