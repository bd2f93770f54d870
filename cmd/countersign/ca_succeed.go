package main

import (
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance"
)

func caSucceed(std stdio, secrets *caSecrets) *cobra.Command {
	var key, passphrase, rootPassphrase string
	rootLifetime, issuingLifetime := lifetime(ca.DefaultRootLifetime), lifetime(ca.DefaultIssuingLifetime)
	c := &cobra.Command{
		Use:   "succeed OLD NEW",
		Short: "Make another root, which those believe who have the old one, and the other way round",
		Long: `Make the authority that takes the place of another one, in the directory NEW: a root
with the same name and another key, an issuing authority below it, and what the old
root says of the new one and the new one of the old: new-with-old.crt and
old-with-new.crt (RFC 4210 section 4.4), in both directories. It takes the keys of
both roots. The old authority goes on until nobody needs it any more.`,
		Example: `  countersign ca succeed pki pki-2027`,
		Args:    positional("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			keyType, err := issuance.ParseKeyType(key)
			if err != nil {
				return err
			}
			old, err := secrets.open(args[0])
			if err != nil {
				return err
			}
			defer old.Close()
			f := ca.Founding{Config: ca.Config{Dir: args[1]}, Key: keyType, RootLifetime: time.Duration(rootLifetime), IssuingLifetime: time.Duration(issuingLifetime)}
			for file, into := range map[string]*[]byte{passphrase: &f.Passphrase, rootPassphrase: &f.RootPassphrase} {
				if file == "" {
					continue
				}
				if *into, err = holder.ReadPassphrase(file); err != nil {
					return err
				}
			}
			next, err := old.Succeed(cmd.Context(), f)
			if err != nil {
				return err
			}
			defer next.Close()
			p := newPage("Made the successor of %s in %s", args[0], args[1])
			p.row("root", "%s, until %s", next.Root().Subject.CommonName, until(next.Root().NotAfter))
			p.row("issuing", "%s, until %s", next.Issuing().Subject.CommonName, until(next.Issuing().NotAfter))
			p.row(directory.NewWithOldFile, "to be presented by who has a certificate of %s, for those that have the old root alone", args[1])
			p.row(directory.OldWithNewFile, "to be presented by who has one of %s, for those that have the new root alone", args[0])
			p.try("ca_bundle: [%s, %s]    # in trust stores, before anybody has a certificate of the new one", old.Path(directory.BundleFile), next.Path(directory.BundleFile))
			return p.print(std.out)
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", string(issuance.ECDSAP256), "the `kind` of the new keys: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096")
	f.StringVar(&passphrase, "new-passphrase-file", "", "a `file` with the passphrase of the new issuing authority's key, if it is to have one")
	f.StringVar(&rootPassphrase, "new-root-passphrase-file", "", "a `file` with the passphrase of the new root's key, if it is to have one")
	f.Var(&rootLifetime, "root-lifetime", "how long the new root lasts")
	f.Var(&issuingLifetime, "issuing-lifetime", "how long the new issuing authority lasts, within the root's time")
	return c
}
