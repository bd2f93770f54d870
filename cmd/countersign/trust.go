package main

import "github.com/spf13/cobra"

func newTrustCommand(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Look at trust stores",
	}
	cmd.AddCommand(trustCheck(std), trustShow(std))
	return cmd
}
