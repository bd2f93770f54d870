package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"countersign.dev/internal/config"
)

func newUpCommand(std stdio) *cobra.Command {
	var dir string
	var once bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "From nothing to verified requests: authority, certificates, gateway, backend, refusals, the life of a device",
		Long: `Up shows the main job on this machine: it makes an authority, a certificate for
the gateway and for two devices, a configuration and a backend that echoes; it
sends a request that is verified, two that are refused, revokes a device in the
middle of its connection; it follows another device from its factory: provisioned,
given its certificate, served, renewed, revoked, given another one; and then it
goes on serving for you to try.

Everything is kept in one directory, yours to change, and used again the next
time. With --once it stops after the demonstration; the exit status is 0 if all
came out as it should.`,
		Example: `  countersign up --dir demo`,
		Args:    positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return up(ctx, std, dir, once)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "countersign-up", "the `directory` in which everything is kept")
	cmd.Flags().BoolVar(&once, "once", false, "stop after the demonstration")
	return cmd
}

// programLogName is where up has the gateway's own log.
const programLogName = "countersign.log"

func up(ctx context.Context, std stdio, dir string, once bool) error {
	screen := &screen{out: std.out}
	screen.title("countersign up: from nothing to a verified request, in %s", dir)

	home, err := furnish(dir, screen)
	if err != nil {
		return err
	}
	cfg, faults := config.Load(home.config())
	if cfg == nil {
		return refusedAtStart(std.err, faults)
	}
	if len(cfg.TargetGroups) == 0 || len(cfg.TargetGroups[0].Targets) == 0 {
		return fmt.Errorf("%s: the first target group is where the echo backend listens, and there is none; remove the file to have it made anew", home.config())
	}
	if issuesToDevices(cfg) {
		home.initialize = cfg.Devices.Initialize.Path
	}
	backend, err := startEcho(cfg.TargetGroups[0].Targets[0].Address)
	if err != nil {
		return err
	}
	defer backend.stop()

	programLog, err := os.OpenFile(home.path(programLogName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer programLog.Close()
	g, err := newGateway(gatewayConfig{File: home.config(), Out: std.out, Err: programLog, Quiet: true})
	if err != nil {
		return err
	}
	if err := g.start(ctx); err != nil {
		return errors.Join(refusedAtStart(std.err, err), g.stop())
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- g.run(serving) }()
	defer func() { stop(); <-ended }()

	address := reachable(g.node.Addresses()[cfg.Listeners[0].Address])
	screen.step("The gateway serves")
	screen.row("https://"+address, "and admits devices of pki/ca.crt alone")
	screen.row("http://"+backend.address, "a backend that answers with what reaches it")

	if err := demonstrate(ctx, screen, home, address); err != nil {
		return err
	}
	if once {
		return nil
	}
	screen.title("It goes on serving. Try it yourself, in another terminal:")
	home.suggest(screen, address, cfg.Node.Admin.Address)
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		ended <- err
		return err
	}
}

// issuesToDevices reports whether a device can have its whole life under cfg; one of
// an earlier version may have no registry.
func issuesToDevices(cfg *config.Config) bool {
	if cfg.Devices == nil || cfg.Devices.Initialize == nil || cfg.Node.DataDir == "" || cfg.Node.Admin.Address == "" {
		return false
	}
	issuer := authorityOf(cfg)
	return issuer != nil && issuer.EST && len(cfg.Listeners) > 0 && cfg.Listeners[0].Devices == "enforce"
}

// reachable is an address that a client on this machine can connect to.
func reachable(bound net.Addr) string {
	host, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		return bound.String()
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
