package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"countersign.dev/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/api"
)

// nodeFlags are how a command is told which node it asks, and as whom.
type nodeFlags struct {
	client.Config
	file string
	json bool
}

// nodeHelp is for the end of a command's description.
const nodeHelp = `

The node is asked at its admin address. With -c FILE both that and the token are
found by the node's configuration; from another machine, give --address with an
operator's --cert and --key.

The exit status is 0 when it is done, 1 when the node refuses, 2 when it cannot be
reached.`

func (f *nodeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "the configuration `FILE` of a node on this machine")
	flags.StringVar(&f.Address, "address", "", "the admin address of the node, `HOST:PORT` (default "+client.DefaultAddress+")")
	flags.StringVar(&f.TokenFile, "token-file", "", "`FILE` with the token: "+api.TokenName+" in the node's data_dir")
	flags.StringVar(&f.Certificate, "cert", "", "PEM `FILE` with an operator's certificate")
	flags.StringVar(&f.Key, "key", "", "PEM `FILE` with its key")
	flags.StringVar(&f.CA, "ca", "", "PEM `FILE` with the authorities of the node's certificate")
	flags.StringVar(&f.ServerName, "server-name", "", "the `NAME` in the node's certificate, if it is not that of --address")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.MarkFlagsRequiredTogether("cert", "key")
	cmd.MarkFlagsMutuallyExclusive("token-file", "cert")
	cmd.MarkFlagFilename("config", "yaml", "yml")
}

// run asks a node, and says in one place how that can fail.
func (f *nodeFlags) run(ctx context.Context, std stdio, ask func(context.Context, *client.Client) error) error {
	if err := f.configured(); err != nil {
		return err
	}
	c, err := client.New(f.Config)
	if err != nil {
		return f.aboutToken(err)
	}
	defer c.Close()
	err = ask(ctx, c)
	if unreachable, ok := errors.AsType[*client.UnreachableError](err); ok {
		fmt.Fprintf(std.err, "countersign: %v; does it run, and is this its admin address?\n", unreachable)
		return exitCode(2)
	}
	return err
}

// aboutToken says what to do about a token that cannot be read.
func (f *nodeFlags) aboutToken(err error) error {
	var cause *fs.PathError
	if !errors.As(err, &cause) || cause.Path != f.TokenFile {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; a node makes it when it starts: has one run with this data_dir?", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; it is for the user as whom the node runs", err)
	}
	return err
}

// configured fills in what -c FILE says and flags do not.
func (f *nodeFlags) configured() error {
	if f.file == "" {
		if f.TokenFile == "" && f.Certificate == "" {
			return errors.New("nothing says who asks: give -c FILE or --token-file on the node's machine, --cert and --key elsewhere")
		}
		return nil
	}
	cfg, faults := config.Inspect(f.file) // the node may be running under a better one: a fault is its own business
	if cfg == nil {
		return faults
	}
	admin := cfg.Node.Admin
	if f.Address == "" {
		if admin.Address == "" {
			return fmt.Errorf("%s has node.admin off: there is no management API", f.file)
		}
		f.Address = near(admin.Address)
	}
	if f.TokenFile == "" && f.Certificate == "" {
		if cfg.Node.DataDir == "" {
			return fmt.Errorf("%s has no node.data_dir: the management API is off without one", f.file)
		}
		f.TokenFile = filepath.Join(cfg.Node.DataDir, api.TokenName)
	}
	if len(admin.Certificates) > 0 && f.CA == "" {
		return f.trust(admin.Certificates[0].Cert)
	}
	return nil
}

// near is where an address to listen at is reached from the same machine.
func near(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip == netip.IPv4Unspecified() {
		host = "127.0.0.1"
	} else if err == nil && ip.IsUnspecified() {
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// trust expects the very certificate that the configuration names.
func (f *nodeFlags) trust(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%s has no certificate in PEM", file)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	f.CA = file
	switch {
	case f.ServerName != "":
	case len(leaf.DNSNames) > 0:
		f.ServerName = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		f.ServerName = leaf.IPAddresses[0].String()
	}
	return nil
}

// collected are the values of a sequence, or its first error.
func collected[T any](all iter.Seq2[T, error]) ([]T, error) {
	values := []T{} // so that JSON has [] for none
	for v, err := range all {
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// printJSON writes one document, indented for people.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table writes rows under their heads, in columns.
func table(w io.Writer, heads string, rows func(row func(format string, args ...any))) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, heads)
	rows(func(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) })
	return t.Flush()
}
