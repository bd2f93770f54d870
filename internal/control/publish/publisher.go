package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ocsp"
	"countersign.dev/internal/control/publish/watch"
	"countersign.dev/internal/control/source"
	"countersign.dev/internal/control/source/points"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/accesslog"
	"countersign.dev/internal/traffic/credential/basic"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/forward/sticky"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/route"
)

// PublisherConfig is what a Publisher works with.
type PublisherConfig struct {
	Path    string // of the configuration file
	Node    *traffic.Node
	Fleet   *upstream.Fleet
	Metrics *telemetry.Metrics
	Logger  *slog.Logger
	Stdout  io.Writer // of logs with the path "-"; nil: os.Stdout

	// Prepare is called before a configuration comes into force, with what it is,
	// for what a snapshot does not hold: the admin address, the program log. All
	// that can fail does so there; one of the two functions is called afterwards.
	Prepare func(*Draft) (Change, error)

	// Own returns the paths of a listener that the node answers itself. nil: none.
	Own func(*config.Config, *config.Listener) map[string]route.Action

	// Tokens signs what targets are told. nil: a listener that has a token sent
	// refuses every request.
	Tokens idheader.Signer
}

// A Change is ready to be made.
type Change struct {
	Apply   func() // the configuration is in force
	Abandon func() // it was refused
}

// A Publisher puts configurations into force. Its methods are safe for
// concurrent use; one publication happens at a time.
type Publisher struct {
	cfg     PublisherConfig
	keys    *handshake.TicketKeys
	watcher *watch.Watcher
	sources *source.Keeper
	points  *points.Book
	asker   *ocsp.Asker
	rotate  *Rotations
	turns   *basic.Turns

	mu      sync.Mutex
	number  uint64
	inForce *Draft   // nil before the first
	files   []string // of the configuration in force
	logs    logs
	sealed  *sticky.Keys // of cookies, without a data_dir

	status   atomic.Pointer[Status]
	closing  chan struct{}  // closed by Close
	retiring sync.WaitGroup // logs that were replaced
}

// NewPublisher returns a Publisher that has put nothing into force yet. Close
// releases it.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Prepare == nil {
		cfg.Prepare = func(*Draft) (Change, error) { return Change{Apply: func() {}, Abandon: func() {}}, nil }
	}
	watcher, err := watch.New(watch.Config{})
	if err != nil {
		return nil, err
	}
	p := &Publisher{
		cfg: cfg, watcher: watcher, closing: make(chan struct{}),
		asker: ocsp.New(ocsp.Config{Logger: cfg.Logger, Holds: cfg.Node.Holds, Suspect: cfg.Node.Suspect}),
		keys:  handshake.NewTicketKeys(handshake.TicketKeysConfig{}),
	}
	p.rotate, p.turns = newRotations(p.renewKeys), basic.NewTurns()
	p.points = points.New(points.Config{
		Logger: cfg.Logger,
		Ask:    func(s source.Spec) { p.sources.Add(s) },
		Again:  func() { p.sources.Again() },
	})
	p.sources = source.New(source.Config{Logger: cfg.Logger, Missed: p.points.Missed})
	return p, nil
}

// Publish reads the configuration, and puts it into force if it is good. Its
// error is config.Faults when the files are at fault; then, and whenever there
// is an error, what was in force still is. Warnings are logged.
// It waits for sources of which it has not heard before.
func (p *Publisher) Publish(ctx context.Context) error {
	for {
		p.mu.Lock()
		err := p.publish(ctx, "the program started", false)
		p.mu.Unlock()
		waiting, ok := errors.AsType[*WaitingError](err)
		if !ok {
			return err
		}
		p.cfg.Logger.Info("nothing is served before what is fetched for the first time has come", "sources", waiting.names)
		if err := p.sources.Await(ctx, waiting.urls); err != nil {
			return fmt.Errorf("%w (%w)", waiting, err)
		}
	}
}

// errNothingNew says that what sources have is not what comes into force.
var errNothingNew = errors.New("nothing new")

// publish returns errNothingNew if fetched is true, and what was fetched is
// refused: then nothing has changed.
func (p *Publisher) publish(ctx context.Context, because string, fetched bool) error {
	began := time.Now()
	draft, err := p.read(ctx)
	if err == nil && fetched && !draft.fresh() {
		p.settle(draft)
		return errNothingNew
	}
	if err == nil {
		err = p.enforce(ctx, draft)
	}
	if _, waits := errors.AsType[*WaitingError](err); !waits {
		p.cfg.Metrics.Reloaded(err)
	}
	if err != nil {
		p.follow(ctx)
	}
	p.note(began, because, err)
	return err
}

// read compiles what is configured.
func (p *Publisher) read(ctx context.Context) (*Draft, error) {
	// Watched before it is read: a change from now on is not missed.
	p.watch(p.watcher.Set, p.files, p.cfg.Path)
	var waiting WaitingError
	o := p.options()
	o.waiting = &waiting
	draft, faults := Read(ctx, p.cfg.Path, o, func(named []string) {
		p.watch(p.watcher.Amend, p.files, named...)
	})
	if len(waiting.urls) > 0 {
		return nil, &waiting
	}
	if draft == nil {
		return nil, faults
	}
	draft.warnings = faults
	return draft, nil
}

// options are those of whatever is to replace what is in force.
func (p *Publisher) options() Options {
	var known found
	if p.inForce != nil {
		known = p.inForce.found
	}
	return Options{found: known, Keys: p.keys, InForce: p.inForce, Sources: p.sources, OCSP: p.asker, Rotations: p.rotate, Turns: p.turns, Points: p.points, Newest: p.newest, Tokens: p.cfg.Tokens}
}

// enforce puts draft into force.
func (p *Publisher) enforce(ctx context.Context, draft *Draft) error {
	if err := p.swap(ctx, draft); err != nil {
		return err
	}
	p.settle(draft)
	p.inForce, p.files = draft, draft.Config.Files()
	p.asker.InForce(draft.asked())
	p.watch(p.watcher.Amend, p.files)
	for _, warning := range draft.warnings {
		p.cfg.Logger.Warn(warning.String())
	}
	return nil
}

// swap puts draft into force. Everything that can fail comes before the first
// thing that others notice.
func (p *Publisher) swap(ctx context.Context, draft *Draft) error {
	addresses := make([]string, len(draft.Listeners))
	for i, l := range draft.Listeners {
		addresses[i] = l.Address
	}
	var undo []func()
	refuse := func(err error) error {
		for _, f := range slices.Backward(undo) {
			f()
		}
		return err
	}
	sockets, err := p.cfg.Node.Open(ctx, addresses)
	if err != nil {
		return addressFaults(draft.Config, err)
	}
	undo = append(undo, sockets.Close)
	opened, err := p.logs.open(draft.Config, p.cfg.Stdout, p.cfg.Logger)
	if err != nil {
		return refuse(err)
	}
	undo = append(undo, func() { closeLogs(opened.without(p.logs)) })
	change, err := p.cfg.Prepare(draft)
	if err != nil {
		return refuse(err)
	}
	undo = append(undo, change.Abandon)
	if err := p.seal(draft); err != nil {
		return refuse(err)
	}
	groups, err := p.cfg.Fleet.Apply(draft.Groups)
	if err != nil {
		return refuse(err)
	}
	p.number++
	snap := &snapshot.Snapshot{
		Number:          p.number,
		Listeners:       draft.Listeners,
		Texts:           draft.Texts,
		MaxConnections:  draft.Config.Node.MaxConnections,
		ShutdownTimeout: draft.Config.Node.ShutdownTimeout,
		ConnectionLog:   opened.connection.log,
		AccessLog:       opened.access.log,
	}
	for i, l := range draft.Listeners {
		l.Metrics = p.cfg.Metrics.Listener(l.Name)
		l.Routes = draft.routes[i].table(groups, l.Metrics)
		if p.cfg.Own != nil {
			l.Routes.Own = p.cfg.Own(draft.Config, &draft.Config.Listeners[i])
		}
	}
	p.cfg.Metrics.Publish(p.inventory(snap, draft))
	for _, g := range draft.Groups {
		for _, address := range g.Targets {
			if g.Health == nil { // nobody else will ever say so
				p.cfg.Metrics.Health(g.Name, address, true)
			}
		}
	}
	if err := p.cfg.Node.Publish(snap, sockets); err != nil {
		return refuse(err) // the node is shutting down
	}
	change.Apply()
	p.keys.Share(draft.tickets)
	old := p.logs
	p.logs = opened
	p.retire(old.without(opened))
	return nil
}

// retire closes logs that have been replaced, a moment later: an exchange that
// is about to write its line may have looked up the old one just before.
func (p *Publisher) retire(old []*accesslog.Log) {
	if len(old) == 0 {
		return
	}
	p.retiring.Go(func() {
		select {
		case <-time.After(time.Second):
		case <-p.closing:
		}
		closeLogs(old)
	})
}

func (p *Publisher) inventory(snap *snapshot.Snapshot, draft *Draft) telemetry.Inventory {
	inv := telemetry.Inventory{
		Generation: snap.Number,
		Targets:    map[string][]string{},
		Groups:     p.targetGroups,
		Expiries:   draft.Expiries,
		Dropped:    map[string]func() uint64{},
		Sources:    p.sourceStates,
		OCSP:       p.responderStates,
	}
	for _, l := range snap.Listeners {
		inv.Listeners = append(inv.Listeners, l.Name)
	}
	for _, g := range draft.Groups {
		inv.Targets[g.Name] = slices.DeleteFunc(slices.Clone(g.Targets), upstream.Dynamic)
	}
	if snap.ConnectionLog != nil {
		inv.Dropped["connection"] = snap.ConnectionLog.Dropped
	}
	if snap.AccessLog != nil {
		inv.Dropped["access"] = snap.AccessLog.Dropped
	}
	return inv
}

func (p *Publisher) watch(set func([]string) error, files []string, more ...string) {
	if err := set(slices.Concat(files, more)); err != nil {
		p.cfg.Logger.Warn("some files are not watched by the kernel; changes are noticed within ten seconds", "error", err)
	}
}

// Reopen opens the log files anew, after a rotation renamed them.
func (p *Publisher) Reopen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.logs.connection.log.Reopen(), p.logs.access.log.Reopen())
}

// Close ends watching, then writes out the logs. It is called once, when
// nothing is served any more.
func (p *Publisher) Close(ctx context.Context) error {
	p.rotate.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.closing)
	p.retiring.Wait()
	p.asker.Close()
	return errors.Join(p.watcher.Close(), p.sources.Close(), p.logs.connection.log.Close(ctx), p.logs.access.log.Close(ctx))
}
