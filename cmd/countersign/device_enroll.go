package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"countersign.dev/client"
)

func deviceClaim(std stdio) *cobra.Command {
	var node nodeFlags
	var claim client.Claim
	var secret, approval, none bool
	var secretFile, keyFile string
	cmd := &cobra.Command{
		Use:   "claim ID (--secret | --secret-file FILE | --public-key FILE | --approval | --none)",
		Short: "Say how a device shows that it is the one, before it gets its certificate",
		Long: `Claim says what a device has to show that comes for its first certificate with
nothing but the one that all devices are made with. A secret is printed once, for
a label on the device; the registry keeps its hash alone.` + nodeHelp,
		Example: `  countersign device claim 00:1A:2B:3C:4D:5E --secret -c countersign.yaml
  countersign device claim 00:1A:2B:3C:4D:5E --public-key device.pub -c countersign.yaml`,
		Args: positional("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			switch {
			case secret, secretFile != "":
				claim.Claim = "secret"
				claim.Secret, err = firstLine(std, secretFile)
			case keyFile != "":
				claim.Claim = "key"
				claim.Key, err = keyText(std, keyFile)
			case approval:
				claim.Claim = "approval"
			default:
				claim.Claim = "none"
			}
			if err != nil {
				return err
			}
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				set, err := c.SetClaim(ctx, args[0], claim)
				if err != nil {
					return err
				}
				switch {
				case node.json:
					return printJSON(std.out, set)
				case set.Secret != "" && secretFile == "":
					_, err = fmt.Fprintln(std.out, set.Secret)
				case set.Key != "":
					_, err = fmt.Fprintf(std.out, "%s has to come with the key %s\n", set.Device, set.Key)
				default:
					_, err = fmt.Fprintf(std.out, "%s has the claim %s\n", set.Device, set.Enrollment.Claim)
				}
				return err
			})
		},
	}
	node.add(cmd)
	whyFlag(cmd, &claim.Why, false)
	flags := cmd.Flags()
	flags.BoolVar(&secret, "secret", false, "a secret, which is made and printed")
	flags.StringVar(&secretFile, "secret-file", "", "the secret in the first line of this `FILE` (- is standard input), 16 letters or more")
	flags.StringVar(&keyFile, "public-key", "", "the key in this `FILE`: a public key, a certificate or a signing request in PEM; or sha256:HEX of it")
	flags.BoolVar(&approval, "approval", false, "an operator looks at who asks, and approves")
	flags.BoolVar(&none, "none", false, "nothing: the first to come is served")
	ways := []string{"secret", "secret-file", "public-key", "approval", "none"}
	cmd.MarkFlagsMutuallyExclusive(ways...)
	cmd.MarkFlagsOneRequired(ways...)
	return cmd
}

func deviceApprove(std stdio) *cobra.Command {
	var node nodeFlags
	var a client.Approval
	var none bool
	cmd := &cobra.Command{
		Use:   "approve [ID (--public-key sha256:HEX | --none)]",
		Short: "Say who of those who wait is the device; or list who waits",
		Long: `Approve lets the one with this key fetch the certificate of a device whose claim
is approval. Compare the key with what the device itself shows: whoever has the
certificate that all devices are made with can ask. Without ID it lists who waits.` + nodeHelp,
		Example: `  countersign device approve -c countersign.yaml
  countersign device approve 00:1A:2B:3C:4D:5E --public-key sha256:198b1a3e... -c countersign.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
					waiting := 0
					for e, err := range c.Enrollments(ctx) {
						if err != nil {
							return err
						}
						waiting += len(e.Waiting)
						if err := node.printWaiting(std, e); err != nil {
							return err
						}
					}
					if waiting == 0 && !node.json {
						fmt.Fprintln(std.err, "nobody waits for approval")
					}
					return nil
				})
			}
			var err error
			if a.Key == "" && !none {
				return errors.New("say which one: --public-key sha256:HEX, or --none of them")
			}
			if a.Key != "" {
				if a.Key, err = keyText(std, a.Key); err != nil {
					return err
				}
			}
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				e, err := c.Approve(ctx, args[0], a)
				switch {
				case err != nil:
					return err
				case node.json:
					return printJSON(std.out, e)
				case e.Key == "":
					_, err = fmt.Fprintf(std.out, "nobody waits any more to be approved as %s\n", e.Device)
				default:
					_, err = fmt.Fprintf(std.out, "%s is the one with the key %s\n", e.Device, e.Key)
				}
				return err
			})
		},
	}
	node.add(cmd)
	whyFlag(cmd, &a.Why, false)
	cmd.Flags().StringVar(&a.Key, "public-key", "", "the `KEY` of the device, sha256:HEX or a file as for claim")
	cmd.Flags().BoolVar(&none, "none", false, "none of those who wait")
	cmd.MarkFlagsMutuallyExclusive("public-key", "none")
	return cmd
}

func (f *nodeFlags) printWaiting(std stdio, e client.Enrollment) error {
	if f.json {
		return printJSON(std.out, e)
	}
	for _, w := range e.Waiting {
		if _, err := fmt.Fprintf(std.out, "%s  %s  from %s since %s\n", e.Device, w.Key, w.Address, w.Since.UTC().Format("2006-01-02 15:04:05")); err != nil {
			return err
		}
	}
	return nil
}

func deviceBundle(std stdio) *cobra.Command {
	var node nodeFlags
	var b client.Bundle
	cmd := &cobra.Command{
		Use:   "bundle ID FILE",
		Short: "Upload a finished certificate with its key, which the device is handed once",
		Long: `Bundle is for devices that cannot make a key. FILE (- is standard input) has in PEM
the certificate, those behind it, and the private key, not encrypted. The key is
sealed until the device fetches it, and is gone then.` + nodeHelp,
		Example: `  countersign device bundle 00:1A:2B:3C:4D:5E device.pem -c countersign.yaml`,
		Args:    positional("ID", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readAll(std, args[1])
			if err != nil {
				return err
			}
			b.PEM = string(text)
			return node.run(cmd.Context(), std, func(ctx context.Context, c *client.Client) error {
				e, err := c.UploadBundle(ctx, args[0], b)
				switch {
				case err != nil:
					return err
				case node.json:
					return printJSON(std.out, e)
				}
				_, err = fmt.Fprintf(std.out, "%s is handed its certificate and key when it asks, with the claim %s\n", e.Device, e.Claim)
				return err
			})
		},
	}
	node.add(cmd)
	whyFlag(cmd, &b.Why, false)
	return cmd
}

// readAll reads a file; "-" is standard input.
func readAll(std stdio, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(std.in, 1<<20))
	}
	return os.ReadFile(path)
}

// keyText is a key as it was given, or what is in the file of that name.
func keyText(std stdio, text string) (string, error) {
	if len(text) > 7 && (text[:7] == "sha256:" || text[:7] == "sha256/") {
		return text, nil
	}
	data, err := readAll(std, text)
	return string(data), err
}

// firstLine is that of a file; "" of no file.
func firstLine(std stdio, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := readAll(std, path)
	if err != nil {
		return "", err
	}
	text, _, _ := strings.Cut(string(data), "\n")
	line := strings.TrimRight(text, "\r")
	if line == "" {
		return "", fmt.Errorf("%s has nothing in its first line", path)
	}
	return line, nil
}
