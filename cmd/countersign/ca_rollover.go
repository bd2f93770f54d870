package main

import (
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pubkey"
	"countersign.dev/internal/control/ca/succession"
)

func caRollover(std stdio, secrets *caSecrets) *cobra.Command {
	var key, token string
	life := lifetime(ca.DefaultIssuingLifetime)
	c := &cobra.Command{
		Use:   "rollover DIR",
		Short: "Make the next issuing authority; what the last one issued stays good",
		Long: `Make the next issuing authority, which takes the root's key. From then on it issues.
The one before goes on signing its own revocation list until it ends, so that what it
has issued stays good. The list of both is in crl.pem, their certificates in ca.crt:
give the new ca.crt to trust stores that do not have the root.`,
		Example: `  countersign ca rollover pki --root-key /media/stick/root.key --root-passphrase-file passphrase`,
		Args:    positional("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			keyType, err := issuance.ParseKeyType(key)
			if err != nil {
				return err
			}
			a, err := secrets.open(args[0])
			if err != nil {
				return err
			}
			issuing, err := a.Rollover(cmd.Context(), succession.Next{Key: keyType, Lifetime: time.Duration(life), Token: token})
			if err != nil {
				return err
			}
			p := newPage("Made another issuing authority in %s", args[0])
			p.row("issuing", "%s, %s, until %s", issuing.Subject.CommonName, pubkey.Describe(issuing.PublicKey), until(issuing.NotAfter))
			p.row(directory.BundleFile, "it, the ones before it and the root: give this to trust stores that do not have the root")
			p.row(directory.CRLFile, "the lists of all of them, its own first")
			return p.print(std.out)
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", string(issuance.ECDSAP256), "the `kind` of its key: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096")
	f.StringVar(&token, "issuing-token", "", "the `URI` of its key in a token, which is made there if it is missing (RFC 7512)")
	f.Var(&life, "lifetime", "how long it lasts, within the root's time")
	return c
}
