package main

import "github.com/spf13/cobra"

func newTrustCommand(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Look at trust stores, and replace what they are made from without locking anybody out",
	}
	cmd.AddCommand(trustCheck(std), trustShow(std),
		trustStage(std), trustStaged(std), trustDiff(std), trustCommit(std), trustAbort(std))
	return cmd
}
