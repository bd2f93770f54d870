package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ocsp"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/verify"
)

func newExplainCommand(std stdio) *cobra.Command {
	var file, cert, listener, sni string
	asks := &asking{}
	cmd := &cobra.Command{
		Use:   "explain -c FILE [--cert CHAIN.pem] [--listener NAME] [--sni NAME] [--request \"METHOD URL\"]",
		Short: "Say what would happen to a client with this certificate, step by step, and why",
		Long: `Explain holds a client's certificate chain against a configuration and says what
each check finds. It asks the same code that decides about live connections. The
chain is what the client would present: its certificate first, then the
intermediates. Without --cert it explains a client that has none. That the
client holds the private key is taken for granted. At a listener with devices the
registry is asked as well.

With --request it goes on to a request of that client: which rule takes it, why
those before do not, whether what it requires holds, and where it goes. At a
listener that passes bytes on (protocol tls or tcp) it says so without one.

The exit status is 0 when the client would be admitted and its request served,
else 1.`,
		Example: `  countersign explain -c countersign.yaml --cert device-1.crt
  countersign explain -c countersign.yaml --cert device-1.crt --request "GET https://api.example.com/admin/"`,
		Args: positional(),
		RunE: func(c *cobra.Command, _ []string) error {
			asker := ocsp.New(ocsp.Config{})
			defer asker.Close()
			draft, faults := publish.Read(c.Context(), file, publish.Options{OCSP: asker}, nil)
			if draft == nil {
				fmt.Fprintf(std.err, "%s\n%s\n", faults.Error(), summary(faults))
				return exitCode(1)
			}
			presented, err := readChain(cert)
			if err != nil {
				return err
			}
			if asks.line != "" {
				return explainRequest(c.Context(), std.out, draft, asks, listener, presented, sni)
			}
			l, err := chooseListener(draft.Listeners, listener)
			if err != nil {
				return err
			}
			if err := explain(c.Context(), std.out, draft.Config, l, presented, sni); err != nil || l.Stream == nil {
				return err
			}
			return explainStream(c.Context(), std.out, draft, l, presented, sni, asks.source)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&cert, "cert", "", "the client's chain, a PEM `FILE`")
	cmd.Flags().StringVar(&listener, "listener", "", "the listener's `NAME`, where there are several")
	cmd.Flags().StringVar(&sni, "sni", "", "the server `NAME` that the client asks for")
	cmd.Flags().StringVar(&cert, "client-cert", "", "the same as --cert")
	cmd.Flags().StringVar(&asks.line, "request", "", "a request, as in `\"METHOD URL\"`")
	cmd.Flags().StringArrayVar(&asks.headers, "header", nil, "with --request: a header field, `\"NAME: VALUE\"`; again for another one")
	cmd.Flags().StringVar(&asks.source, "source", "127.0.0.1", "the `ADDRESS` that the request, or the connection at a listener that passes bytes on, comes from")
	cmd.Flags().BoolVar(&asks.json, "json", false, "with --request: print what becomes of it as JSON")
	return cmd
}

func chooseListener(all []*snapshot.Listener, name string) (*snapshot.Listener, error) {
	var names []string
	var secure *snapshot.Listener
	for _, l := range all {
		if l.Name == name {
			return l, nil
		}
		if l.Admits() {
			names, secure = append(names, l.Name), l
		}
	}
	switch {
	case name != "":
		return nil, fmt.Errorf("there is no listener %q; the listeners that ask who a client is: %s", name, strings.Join(names, ", "))
	case len(names) == 1:
		return secure, nil
	case len(names) == 0:
		return nil, fmt.Errorf("no listener has protocol https or tls, or client_auth with mode proxied, so none looks at certificates")
	}
	return nil, fmt.Errorf("say which listener with --listener: %s", strings.Join(names, ", "))
}

// readChain returns the certificates in a PEM file, in its order; none for no file.
func readChain(file string) ([]*x509.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue // a key in the same file is none of our business
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s, certificate %d: %v (a client that presents it is refused: %s)",
				file, len(chain)+1, err, countersign.ClientCertInvalid)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s has no CERTIFICATE block; want the client's certificate in PEM, its intermediates after it", file)
	}
	return chain, nil
}

// explain walks the stages of a connection as the pipeline does.
func explain(ctx context.Context, w io.Writer, cfg *config.Config, l *snapshot.Listener, presented []*x509.Certificate, sni string) error {
	name, err := handshake.NormalizeName(sni)
	if err != nil {
		return fmt.Errorf("--sni %q: %w", sni, err)
	}
	policy := l.Policies.For(name)
	fmt.Fprintf(w, "listener %s, %s, policy %s: client_auth %s\n", l.Name, askedFor(name), policy.Name, policy.Mode)
	client, until, denial, err := admits(ctx, l, policy, presented, func(s verify.Step) {
		mark := "ok  "
		if !s.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(w, "  %s  %-12s %s\n", mark, s.Check, s.Detail)
	})
	if err != nil {
		return err
	}
	var fields []byte
	if denial == nil {
		fields, denial = l.Identity.Render(nil, client, idheader.Connection{ServerName: name, TLSVersion: "TLSv1.3", TLSCipher: "TLS_AES_128_GCM_SHA256"})
	}
	if denial != nil {
		fmt.Fprintf(w, "\nrefused: %s\n  %s\n", denial.Code, denial.Reason)
		switch respond := policy.OnFailure == countersign.OnFailureRespond; {
		case respond && l.Vouching != nil:
			fmt.Fprintf(w, "  on_failure is respond: every request is answered %d\n", http.Status(denial.Code))
		case respond:
			fmt.Fprintf(w, "  on_failure is respond: the handshake completes and every request is answered %d\n", http.Status(denial.Code))
		case l.Vouching != nil:
			fmt.Fprintln(w, "  on_failure is close: the connection is closed")
		default:
			fmt.Fprintln(w, "  on_failure is close: the handshake ends with a TLS alert")
		}
		return exitCode(1)
	}
	switch {
	case client.Anonymous():
		fmt.Fprintln(w, "\nadmitted, anonymous: targets are told of no certificate")
	case l.Vouching != nil:
		fmt.Fprintf(w, "\nadmitted, vouched for by %s: %s\n", client.VouchedBy(), client.Identity().Subject)
	case client.Lapse() != nil:
		fmt.Fprintf(w, "\nadmitted to renew its certificate, and for nothing else: %s\n", client.Identity().Subject)
		fields = nil
	case client.Verified():
		fmt.Fprintf(w, "\nadmitted, verified: %s\n", client.Identity().Subject)
	default:
		fmt.Fprintf(w, "\nadmitted, NOT verified: %s\n", client.Identity().Subject)
	}
	if len(fields) > 0 {
		fmt.Fprintln(w, "targets get, beside what the client sends:")
		for line := range strings.Lines(string(fields)) {
			fmt.Fprintf(w, "  %s\n", shorten(strings.TrimSpace(line), 160))
		}
	}
	if l.Identity.States() {
		claims, err := l.Identity.Claims(client, idheader.Device{}, idheader.Credential{}, "the target group", time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "targets get a token too, which is signed when it is sent:\n  %s\n", shorten(string(claims), 600))
	}
	if !until.IsZero() {
		fmt.Fprintf(w, "this holds until %s, unless the configuration or a revocation list changes\n", second(until))
	}
	if l.Devices != nil {
		return explainDevice(ctx, w, cfg, l, client)
	}
	return nil
}

func askedFor(name string) string {
	if name == "" {
		return "no server name"
	}
	return "server name " + name
}

// shorten cuts a line for the screen.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:most], len(s))
}
