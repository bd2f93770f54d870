package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/source"
	"countersign.dev/internal/control/source/origin"
	"countersign.dev/internal/control/source/points"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

func trustShow(std stdio) *cobra.Command {
	var node nodeFlags
	var offline bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what each trust store is made from, and how old it is",
		Long: `Show asks a node for each trust store that is in force, with its anchors, revocation
lists and sources: when each was last known to be what the server has, when it is
asked for again, and what is wrong.

With --offline it reads what the configuration names, and the copies of what is
fetched that a node keeps in its node.data_dir. It asks nobody then, and needs no
running node.

The exit status is also 1 when something is wrong.` + nodeHelp,
		Example: `  countersign trust show -c countersign.yaml
  countersign trust show --offline -c countersign.yaml`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !offline:
				return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
					return trustInForce(ctx, std, c, node.json)
				})
			case node.file == "" || node.json:
				return errors.New("--offline needs -c FILE, and does not print JSON")
			}
			cfg, faults := config.Load(node.file)
			if cfg == nil {
				fmt.Fprintf(std.err, "%s\n%s\n", faults.Error(), summary(faults))
				return exitCode(1)
			}
			s := trustScreen{out: std.out, dataDir: cfg.Node.DataDir, now: time.Now(), book: points.New(points.Config{})}
			s.book.Load(cfg.Node.DataDir, true)
			for i := range cfg.TrustStores {
				s.store(&cfg.TrustStores[i])
			}
			if s.wrong {
				return exitCode(1)
			}
			return nil
		},
	}
	node.add(cmd)
	cmd.Flags().BoolVar(&offline, "offline", false, "read files, and ask no node")
	return cmd
}

// A trustScreen is what trust show prints.
type trustScreen struct {
	out     io.Writer
	dataDir string
	book    *points.Book // what the node remembers
	now     time.Time
	wrong   bool // something was
}

func (s *trustScreen) row(label, format string, args ...any) {
	fmt.Fprintf(s.out, "    %-8s %s\n", label, fmt.Sprintf(format, args...))
}

func (s *trustScreen) fault(format string, args ...any) {
	s.wrong = true
	s.row("fault", format, args...)
}

func (s *trustScreen) store(ts *config.TrustStore) {
	fmt.Fprintf(s.out, "trust store %s\n", ts.Name)
	for _, src := range ts.CABundle {
		s.source("bundle", src, ts.Refresh, s.bundle)
	}
	if ts.Revocation == nil {
		fmt.Fprintln(s.out, "  no revocation: nobody's certificate is ever taken for revoked")
		return
	}
	for _, src := range ts.Revocation.CRLs {
		if src.Points() {
			s.points(ts)
			continue
		}
		s.source("list", src, ts.Revocation.Refresh, s.lists)
	}
}

// points shows the lists that clients' certificates name.
func (s *trustScreen) points(ts *config.TrustStore) {
	all := s.book.Of(ts.Name)
	fmt.Fprintf(s.out, "  lists that clients' certificates name (cdp): %d\n", len(all))
	s.row("from", "%s", strings.Join(ts.Revocation.Hosts, ", "))
	for _, p := range all {
		s.source("list", config.Source{URL: p.URL}, ts.Revocation.Refresh, s.lists)
	}
}

// source shows one, with what is in it.
func (s *trustScreen) source(kind string, src config.Source, refresh time.Duration, content func(name string, r io.Reader) error) {
	spec := origin.Spec{URL: src.URL}
	fmt.Fprintf(s.out, "  %s %s\n", kind, spec.Name())
	if !src.Remote() {
		f, err := os.Open(src.URL)
		if err != nil {
			s.fault("%v", err)
			return
		}
		defer f.Close()
		if err := content(src.URL, f); err != nil {
			s.fault("%v", err)
		}
		return
	}
	state, err := source.Look(s.dataDir, spec)
	if err != nil {
		s.fault("%v", err)
	}
	if state.Copy == nil {
		s.fault("%s", cmp.Or(state.Fault, "it was never fetched by a node with this data_dir"))
		return
	}
	defer state.Copy.Close()
	if err := content(spec.Name(), state.Copy.Open()); err != nil {
		s.fault("%v", err)
	}
	s.row("fetched", "%s; known to be what the server has %s", s.at(state.Fetched), s.at(state.Checked))
	switch {
	case state.Due.IsZero():
	case state.Due.Before(s.now.Add(-time.Minute)):
		s.fault("it should have been asked for %s: does the node run?", s.at(state.Due))
	default:
		s.row("next", "asked for by %s, every %v at least", second(state.Due), refresh)
	}
	if state.Fault != "" {
		s.fault("%s (%d failures since the node started)", state.Fault, state.Failures)
	}
}

func (s *trustScreen) bundle(name string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	most := verify.Limits{CACertificates: math.MaxInt, CACertificateSize: math.MaxInt, SubjectSize: math.MaxInt}
	certs, problems := verify.LoadBundle(name, data, most)
	var errs []error
	for _, p := range problems {
		if !p.Warning {
			errs = append(errs, errors.New(p.What))
		}
	}
	if len(certs) > 0 {
		soonest := slices.MinFunc(certs, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		s.row("has", "%s, the first of which expires %s", count(len(certs), "CA certificate"), s.at(soonest.NotAfter))
	}
	return errors.Join(errs...)
}

func (s *trustScreen) lists(name string, r io.Reader) error {
	lists, err := crl.Read(name, r, crl.Limits{})
	for _, l := range lists {
		number := "no number"
		if l.Number != nil {
			number = "number " + l.Number.String()
		}
		s.row("has", "%s of %s with %s, of %s", number, describe.Name(l.RawIssuer), count(l.Len(), "revoked certificate"), s.at(l.ThisUpdate))
		if s.now.After(l.NextUpdate) {
			s.fault("it should have been replaced by %s", s.at(l.NextUpdate))
		} else {
			s.row("until", "%s", s.at(l.NextUpdate))
		}
	}
	return err
}

// at is an instant, with how far it is away.
func (s *trustScreen) at(t time.Time) string {
	text := second(t)
	switch away := t.Sub(s.now); {
	case away.Abs() < time.Second:
		return text + " (now)"
	case away < 0:
		return fmt.Sprintf("%s (%s ago)", text, roughly(-away))
	default:
		return fmt.Sprintf("%s (in %s)", text, roughly(away))
	}
}

// roughly is a duration in its largest unit.
func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
