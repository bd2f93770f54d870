// Package client speaks to the management API of a node.
//
//	c, err := client.New(client.Config{TokenFile: "/var/lib/countersign/api.token"})
//	for connection, err := range c.Connections(ctx, client.ConnectionFilter{TrustStore: "fleet"}) { ... }
//
// What the API refuses is a *Problem, with a code that does not change between
// versions. A node that cannot be reached is an *UnreachableError.
package client
