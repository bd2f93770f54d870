package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"countersign.dev/client"
)

func newConnectionsCommand(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "List and close live connections",
	}
	cmd.AddCommand(connectionsList(std), connectionsClose(std))
	return cmd
}

func filterFlags(cmd *cobra.Command, f *client.ConnectionFilter) {
	flags := cmd.Flags()
	flags.StringVar(&f.Listener, "listener", "", "at the listener with this `NAME`")
	flags.StringVar(&f.TrustStore, "trust-store", "", "of clients that the trust store with this `NAME` verified")
	flags.StringVar(&f.Fingerprint, "fingerprint", "", "of the certificate with this SHA-256, `sha256:HEX`")
	flags.StringVar(&f.Issuer, "issuer", "", "of certificates of the issuer with this `NAME`, as the logs write it")
	flags.StringVar(&f.Serial, "serial", "", "of certificates with this serial number, in `HEX`")
	flags.StringVar(&f.Subject, "subject", "", "of certificates with this subject; * in the `PATTERN` is any text")
	flags.StringVar(&f.Client, "client", "", "from this `ADDRESS`, or addresses such as 10.0.0.0/8")
	flags.StringVar(&f.Target, "target", "", "whose bytes go to this target, `HOST:PORT`, at listeners with protocol tls or tcp")
}

func connectionsList(std stdio) *cobra.Command {
	var node nodeFlags
	var filter client.ConnectionFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the connections of admitted clients",
		Long: `List prints the connections of clients that were admitted and are connected: those
over TLS, those for whose clients a balancer in front has vouched, and those of
listeners that pass bytes on. Several filters must all hold.` + nodeHelp,
		Example: `  countersign connections list --listener devices --client 10.0.0.0/8 -c countersign.yaml`,
		Args:    positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				all, err := collected(c.Connections(ctx, filter))
				if err != nil {
					return err
				}
				if node.json {
					return printJSON(std.out, all)
				}
				return table(std.out, "ID\tSINCE\tCLIENT\tLISTENER\tTRUST STORE\tSUBJECT\tSERIAL\tTARGET", func(row func(string, ...any)) {
					for _, k := range all {
						subject, serial := "-", "-"
						if k.Certificate != nil {
							subject, serial = orDash(k.Certificate.Subject), orDash(k.Certificate.Serial)
						}
						row("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", k.ID, second(k.Since), k.Client, k.Listener, orDash(k.TrustStore), subject, serial, orDash(k.Target))
					}
				})
			})
		},
	}
	node.add(cmd)
	filterFlags(cmd, &filter)
	return cmd
}

func connectionsClose(std stdio) *cobra.Command {
	var node nodeFlags
	var filter client.ConnectionFilter
	cmd := &cobra.Command{
		Use:   "close [ID...]",
		Short: "Close connections",
		Long: `Close ends the connections with these IDs, or all those that the filters mean. What
is under way on one has a second to finish. It does not keep the client from
connecting anew: for that, revoke its certificate.` + nodeHelp,
		Example: `  countersign connections close TID_2cfb7ce207a1fb67b4f9cfacb44009d0 -c countersign.yaml
  countersign connections close --subject "CN=MacID-AA:BB:*" -c countersign.yaml`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if len(ids) == 0 && filter == (client.ConnectionFilter{}) || len(ids) > 0 && filter != (client.ConnectionFilter{}) {
				return errors.New("say which: the IDs that list shows, or filters such as --fingerprint, not both")
			}
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				closed := 0
				var err error
				if len(ids) == 0 {
					if closed, err = c.CloseConnections(ctx, filter); err != nil {
						return err
					}
				}
				for _, id := range ids {
					if err := c.CloseConnection(ctx, id); err != nil {
						return err
					}
					closed++
				}
				if node.json {
					return printJSON(std.out, client.Closing{Closed: closed})
				}
				fmt.Fprintf(std.out, "%s closed\n", count(closed, "connection"))
				return nil
			})
		},
	}
	node.add(cmd)
	filterFlags(cmd, &filter)
	return cmd
}
