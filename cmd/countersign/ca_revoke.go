package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/control/ca/pemfile"
)

func caRevoke(std stdio, secrets *caSecrets) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     "revoke DIR SERIAL|FILE",
		Short:   "Revoke a certificate, for good, and sign new revocation lists",
		Example: `  countersign ca revoke pki MacID-AA-BB-CC-DD-EE-FF.crt --reason keyCompromise`,
		Args:    positional("DIR", "SERIAL or FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			why, err := crl.ParseReason(reason)
			if err != nil {
				return err
			}
			serial, certificate, err := whichCertificate(args[1])
			if err != nil {
				return err
			}
			a, err := secrets.open(args[0])
			if err != nil {
				return err
			}
			var done ca.Revocation
			if certificate != nil {
				done, err = a.RevokeCertificate(certificate, why, time.Time{})
			} else {
				done, err = a.Revoke(serial, why, time.Time{})
			}
			if err != nil {
				return err
			}
			who := done.Certificate.Subject
			if who == "" {
				who = "certificate " + done.Certificate.Serial
			}
			p := newPage("Revoked %s (%s)", who, done.Certificate.Reason)
			if done.Already {
				p.title = fmt.Sprintf("%s was revoked already, on %s (%s)", who, instant(done.Certificate.RevokedAt), done.Certificate.Reason)
			}
			p.row("serial", "%s", done.Certificate.Serial)
			describeLists(p, a, done.Lists)
			return p.print(std.out)
		},
	}
	var words []string
	for _, r := range crl.Reasons() {
		words = append(words, string(r))
	}
	c.Flags().StringVar(&reason, "reason", string(crl.Unspecified), "why: "+strings.Join(words, ", "))
	return c
}

func caCRL(std stdio, secrets *caSecrets) *cobra.Command {
	var life lifetime
	c := &cobra.Command{
		Use:     "crl DIR",
		Short:   "Sign the revocation lists anew, before the old ones run out",
		Example: `  countersign ca crl pki --lifetime 7d`,
		Args:    positional("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := secrets.open(args[0])
			if err != nil {
				return err
			}
			lists, err := a.CRL(time.Duration(life))
			if err != nil {
				return err
			}
			p := newPage("Signed the revocation lists of %s", args[0])
			describeLists(p, a, lists)
			return p.print(std.out)
		},
	}
	c.Flags().Var(&life, "lifetime", "how long until the next one must be signed (default: as long as the last one; 24h at first)")
	return c
}

func describeLists(p *page, a *ca.Authority, lists lists.Published) {
	describeList(p, a.Path(directory.CRLFile), lists.Issuing)
	describeList(p, a.Path(directory.RootCRLFile), lists.Root)
	for _, note := range lists.Notes {
		p.row("note", "%s", note)
	}
	p.try("countersign ca crl %s    # before %s, and from then on regularly", quote(a.Dir()), instant(lists.Issuing.NextUpdate))
}

func describeList(p *page, path string, list *x509.RevocationList) {
	if list == nil {
		p.row(path, "missing")
		return
	}
	p.row(path, "number %s, %s, next update before %s", list.Number, count(len(list.RevokedCertificateEntries), "revoked certificate"), until(list.NextUpdate))
}

// whichCertificate takes a file, or a serial number as hex, with or without
// colons between its bytes.
func whichCertificate(arg string) (*big.Int, *x509.Certificate, error) {
	chain, err := pemfile.ReadChain(arg)
	if err == nil {
		return nil, chain[0], nil
	}
	if _, missing := os.Stat(arg); !errors.Is(missing, fs.ErrNotExist) {
		return nil, nil, err
	}
	serial, err := readSerial(arg)
	return serial, nil, err
}

// readSerial reads a serial number as hex, with or without colons between its bytes.
func readSerial(arg string) (*big.Int, error) {
	digits := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(arg), "0x"), ":", "")
	serial, ok := new(big.Int).SetString(digits, 16)
	if !ok || serial.Sign() <= 0 || len(digits) > 40 {
		return nil, fmt.Errorf("%q is neither a file nor a serial number: expected a certificate in PEM, or the serial in hex as `countersign ca show` prints it", arg)
	}
	return serial, nil
}
