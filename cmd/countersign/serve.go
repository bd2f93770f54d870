package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	actors "github.com/oklog/run"
	"github.com/spf13/cobra"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/admin"
	"countersign.dev/internal/control/api"
	"countersign.dev/internal/control/device/mirror"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/trust"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/telemetry/heapfloor"
	"countersign.dev/internal/telemetry/memoryreturn"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/route"
)

func newServeCommand(std stdio) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve -c FILE",
		Short: "Run the gateway",
		Long: `Serve puts a configuration into force and keeps it there: it is read again when it
or any file it names changes. A configuration with a fault is refused whole, and
the last good one stays in force.

  SIGHUP           read the configuration again
  SIGUSR1          open the log files anew, after a rotation
  SIGTERM, SIGINT  stop accepting, finish what is under way, exit; a second one exits at once`,
		Example: `  countersign serve -c countersign.yaml`,
		Args:    positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), std, file)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func serve(ctx context.Context, std stdio, file string) error {
	g, err := newGateway(gatewayConfig{File: file, Out: std.out, Err: std.err})
	if err != nil {
		return err
	}
	asked, err := g.startUnlessAsked(ctx)
	if asked { // whatever became of the start
		return g.stop()
	}
	if err != nil {
		g.stop()
		return refusedAtStart(std.err, err)
	}
	return g.run(ctx)
}

// refusedAtStart prints the faults of a configuration a line each.
func refusedAtStart(w io.Writer, err error) error {
	var faults config.Faults
	if errors.As(err, &faults) {
		fmt.Fprintf(w, "%s\n%s: nothing was started\n", faults.Error(), summary(faults))
		return exitCode(1)
	}
	return err
}

// gatewayConfig is what a gateway is made from.
type gatewayConfig struct {
	File string
	Out  io.Writer // of logs whose path is "-"
	Err  io.Writer // of the program log
	// Quiet leaves signals to the caller.
	Quiet bool
}

// A gateway is everything that serves: the value that serve and up run, and
// that the end-to-end tests start.
type gateway struct {
	cfg        gatewayConfig
	logger     *slog.Logger
	format     string // of what logger writes
	metrics    *telemetry.Metrics
	fleet      *upstream.Fleet
	node       *traffic.Node
	publisher  *publish.Publisher
	management management
	seen       remembering
	registry   registry
	files      telemetry.Descriptors
	admin      adminServer
	issuers    authorities
	enrollment enrollment
	tokens     tokens
	again      chan struct{} // asks for a reload
	signaled   chan os.Signal
	endHeap    func() // of what is done about the heap's size
}

// newGateway wires the parts, top to bottom. Nothing runs yet but the fleet's reaper.
func newGateway(cfg gatewayConfig) (*gateway, error) {
	g := &gateway{cfg: cfg, again: make(chan struct{}, 1), signaled: make(chan os.Signal, 4)}
	if !cfg.Quiet {
		// From the beginning: an early SIGHUP would end a program that does not
		// listen for it yet.
		signal.Notify(g.signaled, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	}

	// The file says how the program logs; until it has been read, as text.
	logging := config.ProgramLog{Format: "text"}
	if c, _ := config.Load(cfg.File); c != nil {
		logging = c.Logs.Program
	}
	g.format = logging.Format
	var err error
	if g.logger, err = telemetry.NewLogger(logging.Level.String(), logging.Format, cfg.Err); err != nil {
		return nil, err
	}
	g.metrics = telemetry.NewMetrics(telemetry.MetricsConfig{Version: buildVersion(), Revision: buildRevision(), Logger: g.logger})
	g.fleet = upstream.NewFleet(upstream.FleetConfig{
		Logger: g.logger,
		OnHealth: func(group, target string, healthy bool, reason string) {
			g.metrics.Health(group, target, healthy)
		},
		OnConnectError: func(group, target string, err error) { g.metrics.ConnectFailed(group, target) },
	})
	g.seen.logger, g.files.Logger = g.logger, g.logger
	g.registry.logger = g.logger
	g.issuers.logger = g.logger
	g.issuers.store = g.registry.opened
	g.tokens.logger = g.logger
	g.enrollment.open(g.logger)
	g.registry.outcomes = g.enrollment.desk.Outcomes
	g.registry.mirror = mirror.New(mirror.Config{Logger: g.logger})
	g.metrics.DevicesFrom(g.registry.figures)
	g.node = traffic.New(traffic.Config{Logger: g.logger, Witness: witnesses{&g.seen.witness, g.enrollment.uses}, Devices: g.registry.mirror})
	g.registry.suspect = g.node.SuspectDevices
	g.registry.issuers = g.issuers.issuers
	g.publisher, err = publish.NewPublisher(publish.PublisherConfig{
		Path: cfg.File, Node: g.node, Fleet: g.fleet, Metrics: g.metrics,
		Logger: g.logger, Stdout: cfg.Out, Prepare: g.prepare, Own: g.paths, Tokens: &g.tokens,
	})
	if err != nil {
		return nil, err
	}
	g.management.logger = g.logger
	g.management.api, err = api.New(api.Config{Version: buildVersion(), Logger: g.logger, Nouns: []api.Noun{
		api.Snapshot{Configuration: g.publisher, Node: g.node, Version: buildVersion()},
		api.TrustStores{InForce: g.publisher},
		api.Candidates{Desk: trust.New(trust.Config{Publisher: g.publisher, Node: g.node, Seen: &g.seen.witness, Logger: g.logger})},
		api.RevocationLists{InForce: g.publisher},
		api.Targets{Fleet: g.fleet},
		api.Connections{Admitted: g.node},
		api.Devices{Registry: g.registry.inUse},
		api.Enrollments{Desk: g.enrollment.desk},
	}})
	return g, err
}

// heapFloor is how large the heap may become before it is collected, in bytes.
// Handshakes take a tenth less CPU for it; connections that are kept need none.
const heapFloor = 32 << 20

// start puts the first configuration into force.
func (g *gateway) start(ctx context.Context) error {
	telemetry.ApplyLimits(g.logger)
	endFloor, endReturn := heapfloor.Keep(heapFloor), memoryreturn.Watch()
	g.endHeap = func() { endReturn(); endFloor() }
	if err := g.publisher.Publish(ctx); err != nil {
		return err
	}
	bound := g.node.Addresses()
	for _, l := range g.node.Current().Listeners {
		g.logger.Info("listening", "listener", l.Name, "address", l.Address, "bound", bound[l.Address].String())
	}
	return nil
}

// prepare makes ready what a snapshot does not hold.
func (g *gateway) prepare(draft *publish.Draft) (publish.Change, error) {
	cfg := draft.Config
	return inTurn(
		func() (publish.Change, error) { return g.management.prepare(draft) },
		func() (publish.Change, error) {
			return g.admin.move(cfg, admin.Config{
				Address: cfg.Node.Admin.Address, TLS: g.management.tls.Load, API: g.management.api, WellKnown: &g.issuers, TokenKeys: g.tokens.publication(),
				Metrics: g.metrics.Handler(), Ready: g.notReady, Well: g.unwell, Draining: g.node.Draining, Logger: g.logger,
			})
		},
		func() (publish.Change, error) { return g.seen.prepare(cfg.Node), nil },
		func() (publish.Change, error) { return g.registry.prepare(context.Background(), draft) },
		func() (publish.Change, error) { return g.issuers.prepare(cfg) },
		func() (publish.Change, error) { return g.enrollment.prepare(cfg, &g.registry, &g.issuers) },
		func() (publish.Change, error) { return g.tokens.prepare(cfg) },
		func() (publish.Change, error) {
			return publish.Change{Apply: func() { g.follow(cfg) }, Abandon: func() {}}, nil
		},
	)
}

// follow has what the program says and may open be as cfg has it.
func (g *gateway) follow(cfg *config.Config) {
	if format := cfg.Logs.Program.Format; format != g.format {
		g.logger.Warn("logs.program.format takes effect when the program starts anew", "format", g.format, "configured", format)
	}
	if err := telemetry.SetLevel(g.logger, cfg.Logs.Program.Level.String()); err != nil {
		g.logger.Error("the level of this log stays as it was", "error", err)
	}
	g.files.Want(cfg.Node.MaxConnections)
}

// inTurn makes things ready one after the other, which are applied in that order.
// What was ready before one that fails is given up.
func inTurn(steps ...func() (publish.Change, error)) (publish.Change, error) {
	var ready []publish.Change
	abandon := func() {
		for _, change := range ready {
			change.Abandon()
		}
	}
	for _, prepare := range steps {
		change, err := prepare()
		if err != nil {
			abandon()
			return publish.Change{}, err
		}
		ready = append(ready, change)
	}
	apply := func() {
		for _, change := range ready {
			change.Apply()
		}
	}
	return publish.Change{Apply: apply, Abandon: abandon}, nil
}

// paths are those of a listener that the node answers itself.
func (g *gateway) paths(cfg *config.Config, l *config.Listener) map[string]route.Action {
	own := map[string]route.Action{}
	maps.Copy(own, g.enrollment.paths(cfg, l))
	maps.Copy(own, g.tokens.paths(l))
	return own
}

// notReady says what keeps the node from serving; nothing when it serves.
func (g *gateway) notReady() []string {
	if g.node.Current() == nil {
		return []string{"no configuration is in force yet"}
	}
	return nil
}

// unwell says which of the target groups that node.health names have nobody to
// serve with.
func (g *gateway) unwell() []string {
	draft := g.publisher.Status().Draft
	if draft == nil || draft.Config.Node.Health == nil {
		return nil
	}
	return g.fleet.Unwell(draft.Config.Node.Health.TargetGroups)
}

// run serves until a signal, or until ctx ends, and then drains.
func (g *gateway) run(ctx context.Context) error {
	var group actors.Group

	watching, stopWatching := context.WithCancel(ctx)
	group.Add(func() error { return g.publisher.Run(watching, g.again) }, func(error) { stopWatching() })

	waiting, stopWaiting := context.WithCancel(ctx)
	group.Add(func() error { return g.signals(waiting) }, func(error) { stopWaiting() })

	notify(g.logger, daemon.SdNotifyReady)
	err := group.Run()
	notify(g.logger, daemon.SdNotifyStopping)
	return errors.Join(err, g.stop())
}

// stop drains and releases everything, in the reverse order of newGateway.
func (g *gateway) stop() error {
	timeout := 30 * time.Second
	if snap := g.node.Current(); snap != nil {
		timeout = snap.ShutdownTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if cut := g.node.Drain(ctx); cut > 0 {
		g.logger.Warn("connections were cut that did not finish in time", "connections", cut, "timeout", timeout)
	}
	g.seen.stop()
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stopped := g.admin.stop()
	g.enrollment.stop()
	g.tokens.stop()
	g.registry.rest()
	stopped = errors.Join(stopped, g.issuers.stop()) // whose books may be in the store
	g.registry.stop()
	err := errors.Join(stopped, g.fleet.Close(last), g.publisher.Close(last), g.management.stop())
	if g.endHeap != nil {
		g.endHeap()
	}
	g.logger.Info("stopped")
	return err
}

func notify(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("cannot tell systemd", "state", state, "error", err)
	}
}
