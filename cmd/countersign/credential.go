package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"countersign.dev/internal/control/credential"
	"countersign.dev/internal/traffic/credential/apikey"
)

func newCredentialCommand(std stdio) *cobra.Command {
	c := &cobra.Command{
		Use:   "credential",
		Short: "Make what clients show beside certificates",
	}
	keys := &cobra.Command{Use: "api-key", Short: "Make API keys"}
	keys.AddCommand(newAPIKeyCommand(std))
	c.AddCommand(keys)
	return c
}

func newAPIKeyCommand(std stdio) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "new ID",
		Short: "Make an API key for ID, and print it once",
		Long: `Make an API key for ID, of 256 random bits, and print it: it is kept nowhere. The
line with its digest belongs into the file that keys of the credential names; with
--append it is put there. A node that watches the file knows the key at once. An
id may have several keys, so that its holder can change from one to the next.`,
		Example: `  countersign credential api-key new acme --append keys.txt`,
		Args:    positional("ID"),
		RunE: func(_ *cobra.Command, args []string) error {
			id, key := args[0], credential.NewKey()
			if !apikey.ValidID(id) {
				return fmt.Errorf("id %q: expected up to 128 letters of printable ASCII without blanks and colons, that do not begin with #", id)
			}
			if file != "" {
				if err := credential.AppendKey(file, id, key); err != nil {
					return err
				}
				fmt.Fprintln(std.out, key)
				return nil
			}
			fmt.Fprintf(std.out, "key:  %s\nline: %s\n", key, apikey.Line(id, key))
			return nil
		},
	}
	c.Flags().StringVar(&file, "append", "", "append the line to this `file`, and print the key alone")
	return c
}
