package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/pubkey"
	"countersign.dev/internal/wire/dn"
)

func caShow(std stdio, secrets *caSecrets) *cobra.Command {
	return &cobra.Command{
		Use:   "show DIR|FILE [SERIAL]",
		Short: "Show an authority with all its certificates, one of those, or the certificates in a file",
		Example: `  countersign ca show pki
  countersign ca show device-1.crt`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return positional("DIR or FILE")(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return fmt.Errorf("%w: expected the directory of an authority, or a file with certificates", err)
			}
			switch {
			case len(args) == 2:
				return showIssued(std.out, secrets, args[0], args[1])
			case info.IsDir():
				return showAuthority(std.out, secrets, args[0])
			}
			chain, err := pemfile.ReadChain(args[0])
			if err != nil {
				return err
			}
			for n, c := range chain {
				if n > 0 {
					fmt.Fprintln(std.out)
				}
				if err := showCertificate(std.out, c); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// showIssued shows a certificate that is on record, then prints it in PEM.
func showIssued(out io.Writer, secrets *caSecrets, dir, digits string) error {
	serial, err := readSerial(digits)
	if err != nil {
		return err
	}
	a, err := secrets.open(dir)
	if err != nil {
		return err
	}
	c, known, err := a.Status(context.Background(), dn.Serial(serial))
	if err != nil {
		return err
	}
	if !known || c.DER == nil {
		return fmt.Errorf("no certificate with serial %s is on record: see `countersign ca show %s`", dn.Serial(serial), quote(dir))
	}
	parsed, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	if err := showCertificate(out, parsed); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "  %-11s  %s\n%s", "state", state(c, time.Now()), pemfile.EncodeCertificates(parsed))
	return err
}

func showAuthority(out io.Writer, secrets *caSecrets, dir string) error {
	a, err := secrets.open(dir)
	if err != nil {
		return err
	}
	all, err := collected(a.Certificates(context.Background()))
	if err != nil {
		return err
	}
	lists, err := a.Lists()
	if err != nil {
		return err
	}
	root, issuing := a.Root(), a.Issuing()
	p := newPage("The authority in %s", dir)
	p.row("root", "%s, %s, until %s", root.Subject.CommonName, pubkey.Describe(root.PublicKey), until(root.NotAfter))
	if !a.HasRootKey() {
		p.row("", "its key is kept elsewhere, or encrypted")
	}
	p.row("issuing", "%s, %s, until %s", issuing.Subject.CommonName, pubkey.Describe(issuing.PublicKey), until(issuing.NotAfter))
	issuers := a.Issuers()
	for _, earlier := range slices.Backward(issuers[:len(issuers)-1]) {
		p.row("before", "%s, until %s", earlier.Subject.CommonName, until(earlier.NotAfter))
	}
	describeList(p, directory.CRLFile, lists.Issuing)
	describeList(p, directory.RootCRLFile, lists.Root)

	if lists.Issuing == nil || time.Now().After(lists.Issuing.NextUpdate) {
		p.try("countersign ca crl %s    # who trusts the list refuses everybody until then", quote(dir))
	}
	own := slices.DeleteFunc(all, func(c ledger.Certificate) bool { return issuance.Profile(c.Profile).IsCA() })
	if len(own) == 0 {
		p.try("countersign ca issue %s MacID-AA:BB:CC:DD:EE:FF", quote(dir))
		return p.print(out)
	}
	if err := p.print(out); err != nil {
		return err
	}
	return showTable(out, own)
}

func showTable(out io.Writer, certificates []ledger.Certificate) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nSERIAL\tPROFILE\tSTATE\tUNTIL\tSUBJECT")
	now := time.Now()
	for _, c := range certificates {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Serial, orDash(c.Profile), state(c, now), dateOrDash(c.NotAfter), orDash(c.Subject))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", count(len(certificates), "certificate"))
	return err
}

func state(c ledger.Certificate, now time.Time) string {
	switch {
	case c.Revoked():
		return fmt.Sprintf("revoked %s (%s)", c.RevokedAt.UTC().Format(time.DateOnly), c.Reason)
	case now.After(c.NotAfter):
		return "expired"
	}
	return "valid"
}

func showCertificate(out io.Writer, c *x509.Certificate) error {
	subject, err := dn.String(c.RawSubject)
	if err != nil {
		return err
	}
	issuer, err := dn.String(c.RawIssuer)
	if err != nil {
		return err
	}
	kind := "certificate"
	if c.IsCA {
		kind = "authority"
	}
	p := newPage("%s (%s)", subject, kind)
	p.row("issuer", "%s", issuer)
	p.row("serial", "%s", dn.Serial(c.SerialNumber))
	p.row("fingerprint", "sha256:%x", sha256.Sum256(c.Raw))
	p.row("names", "%s", orDash(strings.Join(alternativeNames(c), ", ")))
	p.row("for", "%s", orDash(strings.Join(purposes(c), ", ")))
	p.row("key", "%s, signed with %s", pubkey.Describe(c.PublicKey), c.SignatureAlgorithm)
	p.row("from", "%s", instant(c.NotBefore))
	p.row("until", "%s", until(c.NotAfter))
	return p.print(out)
}

// purposes names what a certificate may be used for (RFC 5280 sections 4.2.1.3, 4.2.1.12).
func purposes(c *x509.Certificate) []string {
	var words []string
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageClientAuth:
			words = append(words, "TLS client")
		case x509.ExtKeyUsageServerAuth:
			words = append(words, "TLS server")
		case x509.ExtKeyUsageOCSPSigning:
			words = append(words, "signing OCSP responses")
		case x509.ExtKeyUsageAny:
			words = append(words, "any purpose")
		default:
			words = append(words, fmt.Sprintf("purpose %d", u))
		}
	}
	for _, oid := range c.UnknownExtKeyUsage {
		words = append(words, oid.String())
	}
	if c.KeyUsage&x509.KeyUsageCertSign != 0 {
		words = append(words, "signing certificates")
	}
	if c.KeyUsage&x509.KeyUsageCRLSign != 0 {
		words = append(words, "signing revocation lists")
	}
	return words
}

// alternativeNames prints them as `ca issue --san` takes them.
func alternativeNames(c *x509.Certificate) []string {
	var names []string
	for _, s := range c.DNSNames {
		names = append(names, "dns:"+s)
	}
	for _, ip := range c.IPAddresses {
		names = append(names, "ip:"+ip.String())
	}
	for _, u := range c.URIs {
		names = append(names, "uri:"+u.String())
	}
	for _, s := range c.EmailAddresses {
		names = append(names, "email:"+s)
	}
	return names
}
