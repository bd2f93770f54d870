package source

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"countersign.dev/internal/control/source/origin"
)

// A Spec is a source with how often, at least, it is asked for.
type Spec struct {
	origin.Spec
	Refresh time.Duration
}

// Found reports whether a client's certificate names the source. Nothing waits
// for it: there may be nothing behind it.
func (s Spec) Found() bool { return s.Reach != nil }

// Config is what a Keeper works with; its zero value works.
type Config struct {
	Logger *slog.Logger // nil: nothing is logged
	// Fleeting leaves the directory as it is: for a look at a configuration.
	Fleeting bool
	Now      func() time.Time // nil: time.Now
	// Missed, unless nil, is told of each source of which a fetch brought nothing,
	// and of which there is no copy.
	Missed func(url string)
}

// A Keeper fetches sources. Prepare, Offers, Settle and Close are called one at
// a time; the rest is safe for concurrent use.
type Keeper struct {
	cfg     Config
	changed chan struct{}
	wake    chan struct{}
	retired []*Copy // nobody reads them after the next Prepare

	life    context.Context // of what Prepare and Add begin; end ends it
	end     context.CancelFunc
	running sync.WaitGroup
	turns   chan struct{} // of those that fetch

	mu      sync.Mutex
	dir     string             // data_dir; fixed by the first Prepare
	sources map[string]*source // by URL
	news    bool               // since Changed was told
}

// A source is what is known of a URL.
type source struct {
	spec   Spec
	first  chan struct{} // closed when the first fetch has ended
	wanted bool          // by the last Prepare, or added since
	added  bool          // since the last Prepare
	used   bool          // by the configuration in force
	idle   bool          // nothing of it is in force, though it is used
	kept   *Copy         // the last good one; nil: there is none
	fresh  *Copy         // what the server has instead, not in force; nil: nothing else

	fetching  bool
	asked     chan struct{} // closed when the next fetch has ended; nil: nobody waits for it
	attempted time.Time     // the last fetch; zero: none
	checked   time.Time     // when kept was last known to be what the server has
	due       time.Time     // the next fetch
	until     time.Time     // when what is kept has to be replaced; zero: never
	row       int           // failures in a row
	failures  uint64
	fault     error  // of the last fetch
	refused   error  // why fresh is not in force
	told      string // what the log was told of last
}

// New returns a Keeper without sources. Close releases it.
func New(cfg Config) *Keeper {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Missed == nil {
		cfg.Missed = func(string) {}
	}
	k := &Keeper{cfg: cfg, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), sources: map[string]*source{}, turns: make(chan struct{}, atOnce)}
	k.life, k.end = context.WithCancel(context.Background())
	return k
}

// Prepare says which sources a configuration has, and begins to fetch those of
// which it has not heard before, with what is kept in dir as the last good copy.
// Sources that are in force stay known.
func (k *Keeper) Prepare(dir string, specs []Spec) error {
	k.Release()
	if len(specs) == 0 && !k.any() && dir == "" {
		return nil
	}
	if err := k.settleIn(dir); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.sources {
		s.wanted, s.added = s.added, false
	}
	for _, spec := range specs {
		s := k.sources[spec.URL]
		if s == nil {
			s = k.introduce(spec)
		}
		s.spec, s.wanted = spec, true
	}
	k.nudge() // Run may have been asleep for longer than the new ones can wait
	return nil
}

func (k *Keeper) any() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.sources) > 0
}

// Add begins to fetch a source that the next Prepare will have. It comes after
// the first Prepare.
func (k *Keeper) Add(spec Spec) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life.Err() == nil && k.sources[spec.URL] == nil {
		s := k.introduce(spec)
		s.wanted, s.added = true, true
	}
}

// Again has Changed say so: what there is may be judged otherwise now.
func (k *Keeper) Again() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.news = true
	k.nudge()
}

// introduce begins to fetch a source for the first time; the caller holds the lock.
func (k *Keeper) introduce(spec Spec) *source {
	s := &source{spec: spec, fetching: true, first: make(chan struct{})}
	s.kept, s.checked = k.restore(spec)
	k.sources[spec.URL] = s
	k.running.Go(func() {
		k.inTurn(k.life, s)
		close(s.first)
		k.nudge()
	})
	return s
}

// Release closes the copies that nothing refers to any more; Prepare does it, too.
func (k *Keeper) Release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	live := map[*Copy]bool{}
	for _, s := range k.sources {
		live[s.kept], live[s.fresh] = true, true
	}
	for _, c := range k.retired {
		if !live[c] {
			c.Close()
		}
	}
	k.retired = nil
}

// settleIn makes the directory, once.
func (k *Keeper) settleIn(dir string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.dir != "" && dir != "" && k.dir != dir:
		k.cfg.Logger.Warn("node.data_dir takes effect when the program starts anew", "data_dir", k.dir, "configured", dir)
	case k.dir == "" && dir != "":
		k.dir = dir
	}
	if k.dir == "" || k.cfg.Fleeting {
		return nil
	}
	if err := os.MkdirAll(keepIn(k.dir), 0o700); err != nil {
		return fmt.Errorf("node.data_dir: %w", err)
	}
	return nil
}

// restore returns the copy of a source that is kept in the directory, and when
// it was last known to be what the server has.
func (k *Keeper) restore(spec Spec) (*Copy, time.Time) {
	if k.dir == "" {
		return nil, time.Time{}
	}
	c, err := load(pathOf(k.dir, spec.Spec), spec.Spec)
	if err != nil {
		k.cfg.Logger.Error("a kept copy is of no use", "source", spec.Name(), "error", err)
	}
	if c == nil {
		return nil, time.Time{}
	}
	checked := c.Fetched
	if n, err := readNotes(pathOf(k.dir, spec.Spec)); err == nil && n.Checked.After(checked) {
		checked = n.Checked
	}
	return c, checked
}

// fetch asks for one source, whose fetching is set.
func (k *Keeper) fetch(ctx context.Context, s *source) {
	k.mu.Lock()
	spec, known := s.spec, cmp.Or(s.fresh, s.kept)
	scratch := keepIn(k.dir)
	if k.cfg.Fleeting {
		scratch = ""
	}
	k.mu.Unlock()
	c, err := fetch(ctx, spec.Spec, known, scratch, k.cfg.Now())
	if k.fetched(ctx, s, spec, known, c, err) {
		k.cfg.Missed(spec.URL)
	}
}

// fetched notes what came of a fetch. It reports whether there is nothing.
func (k *Keeper) fetched(ctx context.Context, s *source, spec Spec, known, c *Copy, err error) (missed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.asked != nil {
		close(s.asked)
		s.asked = nil
	}
	first := s.outstanding()
	s.fetching, s.attempted = false, k.cfg.Now()
	if ctx.Err() != nil && err != nil || k.sources[spec.URL] != s { // we are to stop, or it is gone
		k.retired = append(k.retired, c)
		return true
	}
	s.fault = nil
	switch {
	case err != nil && err != origin.ErrUnchanged:
		s.fault = err
		s.row++
		s.failures++
	case c == nil || c.same(known):
		if known == s.fresh && s.fresh != nil {
			break // still something that is refused, or not settled yet
		}
		s.checked, s.row = s.attempted, 0
	case c.same(s.kept):
		k.retired = append(k.retired, s.fresh)
		s.fresh, s.refused = nil, nil
		s.checked, s.row = s.attempted, 0
	default:
		k.retired = append(k.retired, s.fresh)
		s.fresh, s.refused, s.row = c, nil, 0
		k.news, c = true, nil
	}
	if c != nil {
		k.retired = append(k.retired, c)
	}
	if first && s.wanted && !s.used && !spec.Found() && !k.expected() {
		k.news = true // whoever waited for it can go on, with a fault it may be
	}
	k.plan(s)
	k.report(s)
	return s.kept == nil && s.fresh == nil
}

// expected reports whether a source that has to be waited for is still being
// fetched for the first time.
func (k *Keeper) expected() bool {
	for _, s := range k.sources {
		if s.wanted && s.outstanding() && !s.spec.Found() {
			return true
		}
	}
	return false
}

// report tells the log when the state of a source changes.
func (k *Keeper) report(s *source) {
	state := "good"
	switch {
	case s.fault != nil:
		state = "unreachable"
	case s.refused != nil:
		state = "refused"
	case s.fresh != nil:
		return // it is not settled yet
	}
	k.note(s)
	if state == cmp.Or(s.told, "good") {
		return
	}
	s.told = state
	log, args := k.cfg.Logger, []any{"source", s.spec.Name()}
	since := "there is no copy of it"
	switch {
	case s.kept != nil && s.idle:
		since = "nothing of it is in force"
	case s.kept != nil:
		since = "its last good copy stays in force"
		args = append(args, "copy_of", s.checked.UTC().Format(time.RFC3339))
	}
	switch state {
	case "good":
		log.Info("a source is as it should be again", args...)
	case "unreachable":
		log.Warn("a source cannot be fetched; "+since, append(args, "error", s.fault)...)
	case "refused":
		log.Error("what a source has now is refused; "+since, append(args, "error", s.refused)...)
	}
}

// Close releases all copies. Run has ended.
func (k *Keeper) Close() error {
	k.mu.Lock()
	k.end() // from here on, Add begins nothing
	k.mu.Unlock()
	k.running.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.sources {
		k.retired = append(k.retired, s.kept, s.fresh)
	}
	for _, c := range k.retired {
		c.Close()
	}
	k.sources, k.retired = map[string]*source{}, nil
	return nil
}
