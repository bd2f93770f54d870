package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pubkey"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/store"
	"countersign.dev/internal/wire/dn"
)

func newCACommand(std stdio) *cobra.Command {
	c := &cobra.Command{
		Use:   "ca",
		Short: "Keep a small certificate authority in a directory of PEM files",
		Example: `  countersign ca init pki
  countersign ca issue pki MacID-AA:BB:CC:DD:EE:FF
  countersign ca issue pki gateway --profile server --san dns:gateway.example.com
  countersign ca sign pki device.csr
  countersign ca revoke pki MacID-AA-BB-CC-DD-EE-FF.crt --reason keyCompromise
  countersign ca rollover pki --root-key /media/stick/root.key --root-passphrase-file passphrase
  countersign ca show pki`,
	}
	var secrets caSecrets
	f := c.PersistentFlags()
	f.StringVar(&secrets.passphrase, "passphrase-file", "", "a `file` with the passphrase of the issuing authority's key, if it has one")
	f.StringVar(&secrets.rootKey, "root-key", "", "the `file` of the root's key, if it is not in DIR")
	f.StringVar(&secrets.configuration, "config", "", "the configuration `FILE` of the gateway, if the ledger is in its store")
	f.StringVar(&secrets.rootPassphrase, "root-passphrase-file", "", "a `file` with the passphrase of the root's key, if it has one")
	c.PersistentPostRunE = func(*cobra.Command, []string) error { return secrets.close() }
	c.AddCommand(caInit(std, &secrets), caIssue(std, &secrets), caSign(std, &secrets), caRevoke(std, &secrets), caCRL(std, &secrets),
		caRollover(std, &secrets), caShow(std, &secrets), caSucceed(std, &secrets), caMoveLedger(std, &secrets))
	return c
}

// caSecrets are the files with what an authority's keys take.
type caSecrets struct {
	passphrase, rootKey, rootPassphrase string
	configuration                       string // of the gateway whose store has the ledger; "": it is in DIR

	store *store.Store // that one, open until the command ends
}

func (s *caSecrets) config(dir string) (ca.Config, error) {
	c := ca.Config{Dir: dir, RootKey: s.rootKey}
	var err error
	if s.passphrase != "" {
		if c.Passphrase, err = holder.ReadPassphrase(s.passphrase); err != nil {
			return c, err
		}
	}
	if s.rootPassphrase != "" {
		c.RootPassphrase, err = holder.ReadPassphrase(s.rootPassphrase)
	}
	return c, err
}

func (s *caSecrets) open(dir string) (*ca.Authority, error) {
	c, err := s.config(dir)
	if err != nil {
		return nil, err
	}
	if s.configuration != "" {
		if c.Ledger, err = s.ledger(dir); err != nil {
			return nil, err
		}
	}
	return ca.Open(c)
}

func caInit(std stdio, secrets *caSecrets) *cobra.Command {
	var name, key, token string
	var offline bool
	rootLifetime, issuingLifetime := lifetime(ca.DefaultRootLifetime), lifetime(ca.DefaultIssuingLifetime)
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a root, an issuing authority below it, and their first revocation lists",
		Long: `Make a root, an issuing authority below it, and their first revocation lists.

The root is needed again only to make another issuing authority, or to revoke this
one. With --offline-root its key is written encrypted, under the passphrase in the
file that --root-passphrase-file names: carry the key away, and the passphrase to
another place. With --passphrase-file the issuing authority's key is encrypted too,
and whoever uses it names the same file.`,
		Example: `  countersign ca init pki
  countersign ca init pki --name "Plant 7" --offline-root --root-passphrase-file passphrase`,
		Args: positional("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case offline && secrets.rootPassphrase == "":
				return errors.New("--offline-root encrypts the root's key: name the file with its passphrase with --root-passphrase-file, made for instance with `(umask 077; openssl rand -base64 24 > passphrase)`")
			case secrets.rootKey != "":
				return errors.New("--root-key is for an authority that exists: a new one gets a new key")
			}
			keyType, err := issuance.ParseKeyType(key)
			if err != nil {
				return err
			}
			dir := args[0]
			config, err := secrets.config(dir)
			if err != nil {
				return err
			}
			a, err := ca.Init(ca.Founding{
				Config:          config,
				IssuingToken:    token,
				Name:            name,
				Key:             keyType,
				RootLifetime:    time.Duration(rootLifetime),
				IssuingLifetime: time.Duration(issuingLifetime),
			})
			if err != nil {
				return err
			}
			lists, err := a.Lists()
			if err != nil {
				return err
			}
			root, issuing := a.Root(), a.Issuing()
			p := newPage("Made an authority in %s", dir)
			p.row(directory.RootCertFile, "%s, %s, until %s", root.Subject.CommonName, pubkey.Describe(root.PublicKey), until(root.NotAfter))
			p.row(directory.IssuingCertFile, "%s, %s, until %s", issuing.Subject.CommonName, pubkey.Describe(issuing.PublicKey), until(issuing.NotAfter))
			p.row(directory.BundleFile, "both certificates: give this one to trust stores")
			p.row(directory.CRLFile, "nothing revoked yet; sign it anew before %s", until(lists.Issuing.NextUpdate))
			if secrets.rootPassphrase != "" {
				p.row(directory.RootKeyFile, "encrypted: carry it away now, in two copies; it is needed again only for `ca rollover` and %s", directory.RootCRLFile)
			} else {
				p.row(directory.RootKeyFile, "needed again only for %s: consider keeping it elsewhere", directory.RootCRLFile)
			}
			p.try("countersign ca issue %s MacID-AA:BB:CC:DD:EE:FF", quote(dir))
			p.try("countersign ca issue %s gateway --profile server --san dns:localhost", quote(dir))
			return p.print(std.out)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", ca.DefaultName, "its `name`: the certificates are called NAME Root, NAME Issuing")
	f.StringVar(&key, "key", string(issuance.ECDSAP256), "the `kind` of its keys: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096")
	f.BoolVar(&offline, "offline-root", false, "encrypt the root's key, to be carried away")
	f.StringVar(&token, "issuing-token", "", "the `URI` of the issuing authority's key in a token, which is made there if it is missing (RFC 7512)")
	f.Var(&rootLifetime, "root-lifetime", "how long the root lasts")
	f.Var(&issuingLifetime, "issuing-lifetime", "how long the issuing authority lasts, within the root's time")
	return c
}

func caIssue(std stdio, secrets *caSecrets) *cobra.Command {
	var profile, subject, key, out string
	var names []string
	life := lifetime(ca.DefaultLifetime)
	c := &cobra.Command{
		Use:   "issue DIR NAME",
		Short: "Make a key and a certificate for a device, a client or a server",
		Long: `Make a key and a certificate for a device, a client or a server.

NAME becomes the common name, and the name of the files NAME.crt (the certificate,
then the issuing authority's) and NAME.key; characters that are awkward in a file
name become hyphens there.`,
		Example: `  countersign ca issue pki MacID-AA:BB:CC:DD:EE:FF
  countersign ca issue pki gateway --profile server --san dns:gateway.example.com`,
		Args: positional("DIR", "NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, name := args[0], args[1]
			p, err := issuance.ParseProfile(profile)
			if err != nil {
				return err
			}
			keyType, err := issuance.ParseKeyType(key)
			if err != nil {
				return err
			}
			if name == "" {
				return fmt.Errorf("NAME is empty: expected what the certificate is to be called")
			}
			r := ca.Request{Profile: p, CommonName: name, Names: names, Lifetime: time.Duration(life), Key: keyType}
			if subject != "" {
				r.CommonName, r.Subject = "", subject
			}
			files := ca.FilesFor(out, name)
			if err := files.Vacant(); err != nil {
				return err
			}
			a, err := secrets.open(dir)
			if err != nil {
				return err
			}
			issued, err := a.Issue(r)
			if err != nil {
				return fmt.Errorf("no certificate for %q: %w", name, err)
			}
			return hand(std.out, a, issued, files, p)
		},
	}
	f := c.Flags()
	f.StringVar(&profile, "profile", string(issuance.Device), "what it is for: device, bootstrap, client or server")
	f.StringArrayVar(&names, "san", nil, "alternative `name`, repeatable: dns:HOST, ip:ADDRESS, uri:URI, email:ADDRESS")
	f.StringVar(&subject, "subject", "", "the whole subject instead of CN=NAME, as in \"CN=gate 7,OU=ops,O=Example\"")
	f.StringVar(&key, "key", string(issuance.ECDSAP256), "the `kind` of its key: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096")
	f.Var(&life, "lifetime", "how long it lasts, within the issuing authority's time")
	f.StringVar(&out, "out", ".", "the `directory` for the files")
	return c
}

func caSign(std stdio, secrets *caSecrets) *cobra.Command {
	var profile, out string
	life := lifetime(ca.DefaultLifetime)
	c := &cobra.Command{
		Use:   "sign DIR CSR",
		Short: "Answer a certificate signing request (a PEM or DER file, - for standard input)",
		Long: `Answer a certificate signing request (a PEM or DER file, - for standard input).

The subject and the alternative names are taken from the request, which must be
signed with its own key. What it may be used for is the profile's business: a
request that asks to be an authority, or for another purpose, is refused.`,
		Example: `  countersign ca sign pki device.csr --lifetime 90d`,
		Args:    positional("DIR", "CSR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, file := args[0], args[1]
			p, err := issuance.ParseProfile(profile)
			if err != nil {
				return err
			}
			csr, err := readCSR(std.in, file)
			if err != nil {
				return err
			}
			name := "signed"
			if file != "-" {
				name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
			}
			files := ca.Files{Certificate: ca.FilesFor(out, name).Certificate}
			if err := files.Vacant(); err != nil {
				return err
			}
			a, err := secrets.open(dir)
			if err != nil {
				return err
			}
			issued, err := a.Sign(csr, ca.SignRequest{Profile: p, Lifetime: time.Duration(life)})
			if err != nil {
				return fmt.Errorf("%s is not signed: %w", file, err)
			}
			return hand(std.out, a, issued, files, p)
		},
	}
	f := c.Flags()
	f.StringVar(&profile, "profile", string(issuance.Device), "what it is for: device, bootstrap, client or server")
	f.Var(&life, "lifetime", "how long it lasts, within the issuing authority's time")
	f.StringVar(&out, "out", ".", "the `directory` for the certificate, which is called like the request")
	return c
}

// readCSR reads no more than a request can have, whatever it is pointed at.
func readCSR(in io.Reader, file string) ([]byte, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	csr, err := io.ReadAll(io.LimitReader(in, request.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	return csr, nil
}

// hand saves what was issued and says what it is.
func hand(out io.Writer, a *ca.Authority, issued ca.Issued, files ca.Files, profile issuance.Profile) error {
	leaf := issued.Certificate
	serial := dn.Serial(leaf.SerialNumber)
	if err := issued.Save(files); err != nil {
		return fmt.Errorf("certificate %s is on record but could not be saved: %w; revoke it with `countersign ca revoke %s %s`",
			serial, err, quote(a.Dir()), serial)
	}
	subject, err := dn.String(leaf.RawSubject)
	if err != nil {
		return err
	}
	p := newPage("Made a %s certificate for %s", profile, subject)
	p.row(files.Certificate, "the certificate, then its issuer's")
	if files.Key != "" {
		p.row(files.Key, "its private key, for nobody else's eyes")
	}
	p.row("serial", "%s", serial)
	if names := alternativeNames(leaf); len(names) > 0 {
		p.row("names", "%s", strings.Join(names, ", "))
	}
	p.row("until", "%s", until(leaf.NotAfter))
	for _, note := range issued.Notes {
		p.row("note", "%s", note)
	}
	key := files.Key
	if key == "" {
		key = "KEY"
	}
	if profile == issuance.Server {
		p.try("certificates: [{cert: %s, key: %s}]    # in a listener of countersign's configuration", quote(files.Certificate), quote(key))
	} else {
		p.try("curl --cert %s --key %s --cacert %s https://HOST/", quote(files.Certificate), quote(key), quote(a.Path(directory.BundleFile)))
	}
	return p.print(out)
}
