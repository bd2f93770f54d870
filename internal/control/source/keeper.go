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

// Config is what a Keeper works with; its zero value works.
type Config struct {
	Logger *slog.Logger // nil: nothing is logged
	// Fleeting leaves the directory as it is: for a look at a configuration.
	Fleeting bool
	Now      func() time.Time // nil: time.Now
}

// A Keeper fetches sources. Prepare, Settle and Close are called one at a time;
// the rest is safe for concurrent use.
type Keeper struct {
	cfg     Config
	changed chan struct{}
	wake    chan struct{}
	retired []*Copy // nobody reads them after the next Prepare

	mu      sync.Mutex
	dir     string             // data_dir; fixed by the first Prepare
	sources map[string]*source // by URL
	news    bool               // since Changed was told
}

// A source is what is known of a URL.
type source struct {
	spec   Spec
	wanted bool  // by the last Prepare
	used   bool  // by the configuration in force
	kept   *Copy // the last good one; nil: there is none
	fresh  *Copy // what the server has instead, not in force; nil: nothing else

	fetching  bool
	attempted time.Time // the last fetch; zero: none
	checked   time.Time // when kept was last known to be what the server has
	due       time.Time // the next fetch
	until     time.Time // when what is kept has to be replaced; zero: never
	row       int       // failures in a row
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
	return &Keeper{cfg: cfg, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), sources: map[string]*source{}}
}

// An Offer is what there is of a source.
type Offer struct {
	Spec  Spec
	Kept  *Copy // the last good one, nil if there is none
	Fresh *Copy // what the server has, nil if it is Kept or cannot be had
	// Fault says why the last fetch failed; nil: it did not.
	Fault error
	// Restored is whether Kept comes from the directory, and was not in force yet.
	Restored bool
}

// A Round is one publication: what is offered to it, by URL.
type Round map[string]Offer

// Prepare says which sources a configuration has. It fetches those of which it
// has not heard before, at once, with what is kept in dir as the last good copy;
// of the others it offers what there is. Sources that are in force stay known.
func (k *Keeper) Prepare(ctx context.Context, dir string, specs []Spec) (Round, error) {
	k.release()
	if len(specs) == 0 && len(k.sources) == 0 {
		return nil, nil
	}
	if err := k.settleIn(dir); err != nil {
		return nil, err
	}
	k.mu.Lock()
	for _, s := range k.sources {
		s.wanted = false
	}
	var first []*source
	for _, spec := range specs {
		s := k.sources[spec.URL]
		if s == nil {
			s = &source{fetching: true}
			s.spec = spec
			s.kept, s.checked = k.restore(spec)
			k.sources[spec.URL] = s
			first = append(first, s)
		}
		s.spec, s.wanted = spec, true
	}
	k.mu.Unlock()

	var running sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for _, s := range first {
		running.Go(func() {
			turns <- struct{}{}
			k.fetch(ctx, s)
			<-turns
		})
	}
	running.Wait()

	k.mu.Lock()
	defer k.mu.Unlock()
	round := Round{}
	for _, spec := range specs {
		s := k.sources[spec.URL]
		round[spec.URL] = Offer{Spec: spec, Kept: s.kept, Fresh: s.fresh, Fault: s.fault, Restored: !s.used}
	}
	k.nudge() // Run may have been asleep for longer than the new ones can wait
	return round, nil
}

// release closes the copies that nothing refers to any more.
func (k *Keeper) release() {
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

// A Verdict is what became of an offer.
type Verdict struct {
	Offer Offer
	Use   *Copy     // Kept or Fresh of the offer, which is in force now
	Until time.Time // before which it should be fetched again; zero: at any time
	// Refused says why Fresh is not in force.
	Refused error
}

// Settle says what came into force, by URL. What was fresh and is good is kept
// from now on, on disk as well; sources that the configuration no longer has are
// forgotten.
func (k *Keeper) Settle(verdicts map[string]Verdict) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for url, s := range k.sources {
		v, ok := verdicts[url]
		if !ok {
			delete(k.sources, url)
			k.retired = append(k.retired, s.kept, s.fresh)
			continue
		}
		s.used, s.until = true, v.Until
		if v.Use != s.kept {
			k.retired = append(k.retired, s.kept)
			s.kept = v.Use
			s.checked = v.Use.Fetched
			k.store(s)
		}
		if s.fresh == s.kept {
			s.fresh, s.refused = nil, nil
		} else if v.Refused != nil {
			k.refuse(s, v.Offer.Fresh, v.Refused)
		}
		k.plan(s)
		k.report(s)
	}
	k.nudge()
}

// Refuse says that what is fresh in offers cannot come into force, by URL, and
// that nothing of that configuration does.
func (k *Keeper) Refuse(round Round, why map[string]error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for url, err := range why {
		if s := k.sources[url]; s != nil {
			k.refuse(s, round[url].Fresh, err)
			k.plan(s)
			k.report(s)
		}
	}
}

// refuse notes why fresh is of no use, unless there is something newer already.
func (k *Keeper) refuse(s *source, fresh *Copy, why error) {
	if fresh == nil || s.fresh != fresh {
		return
	}
	if s.refused == nil {
		s.failures++
		s.row++
	}
	s.refused = why
}

// store writes the last good copy to the directory.
func (k *Keeper) store(s *source) {
	if k.dir == "" || k.cfg.Fleeting {
		return
	}
	if err := s.kept.keep(pathOf(k.dir, s.spec.Spec)); err != nil {
		k.cfg.Logger.Error("what is in force cannot be kept for a start without network", "source", s.spec.Name(), "error", err)
	}
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

	k.mu.Lock()
	defer k.mu.Unlock()
	s.fetching, s.attempted = false, k.cfg.Now()
	if ctx.Err() != nil && err != nil || k.sources[spec.URL] != s { // we are to stop, or it is gone
		k.retired = append(k.retired, c)
		return
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
	k.plan(s)
	k.report(s)
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
	if s.kept != nil {
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
