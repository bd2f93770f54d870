package publish

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/source"
	"countersign.dev/internal/control/source/origin"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/credential/jwt"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
)

// A WaitingError says that a configuration cannot come into force yet: some of
// its sources are being fetched for the first time.
type WaitingError struct {
	urls, names []string
}

// Error names the sources.
func (e *WaitingError) Error() string {
	return "it waits for what is being fetched for the first time: " + strings.Join(e.names, ", ")
}

// compileFetched is Compile for a configuration some of whose sources are
// fetched.
func compileFetched(ctx context.Context, cfg *config.Config, o Options) (*Draft, config.Faults) {
	if faults := o.dataDir(cfg); faults != nil {
		return nil, withoutSources(cfg, o, faults)
	}
	keeper := o.Sources
	if keeper == nil {
		keeper = source.New(source.Config{Fleeting: true})
		defer keeper.Close()
	}
	if o.Points == nil {
		o.found = remembered(cfg)
	} else {
		o.Points.Load(cfg.Node.DataDir, false)
		o.found = foundBy(o.Points, cfg)
	}
	specs := o.found.sources(cfg)
	if err := keeper.Prepare(cfg.Node.DataDir, specs); err != nil {
		return nil, withoutSources(cfg, o, config.Faults{dataDirFault(cfg, err)})
	}
	round, waiting := keeper.Offers(specs)
	if len(waiting) > 0 && o.waiting != nil {
		for _, url := range waiting {
			o.waiting.urls = append(o.waiting.urls, url)
			o.waiting.names = append(o.waiting.names, round[url].Spec.Name())
		}
		return nil, nil
	}
	if len(waiting) > 0 {
		err := keeper.Await(ctx, waiting)
		round, waiting = keeper.Offers(specs)
		for _, url := range waiting { // ctx has ended
			offer := round[url]
			offer.Fault = err
			round[url] = offer
		}
	}
	return compileRound(cfg, o, round)
}

// withoutSources adds to faults those that are found with nothing fetched: all that
// there are, unless something is.
func withoutSources(cfg *config.Config, o Options, faults config.Faults) config.Faults {
	if len(Fetched(cfg)) == 0 {
		_, more := Compile(cfg, o)
		return append(faults, more...)
	}
	return append(faults, o.ofFiles(cfg)...)
}

// dataDir looks whether node.data_dir can be used, before anything is read from it.
// A look at a configuration may be somebody else's, who may not search it.
func (o *Options) dataDir(cfg *config.Config) config.Faults {
	dir := cfg.Node.DataDir
	if dir == "" {
		return nil
	}
	_, err := os.Stat(filepath.Join(dir, "sources"))
	starting := o.Sources != nil && o.InForce == nil
	if errors.Is(err, syscall.ENOTDIR) || starting && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return config.Faults{dataDirFault(cfg, err)}
	}
	return nil
}

func dataDirFault(cfg *config.Config, err error) config.Fault {
	dir := cfg.Node.DataDir
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return cfg.Fault("node.data_dir", dir+", which is a file", "a directory", "name another one; it is made if it is not there")
	}
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = cause.Err
	}
	return cfg.Fault("node.data_dir", fmt.Sprintf("%s, which cannot be used (%v)", dir, err), "a directory of which this program is the owner",
		"name another one, or give it to the user that the program runs as")
}

// compileRound is Compile with what is offered.
func compileRound(cfg *config.Config, o Options, round source.Round) (*Draft, config.Faults) {
	if len(round) == 0 {
		return Compile(cfg, o)
	}
	o.round = round
	draft, faults, refused := choose(cfg, o)
	if draft == nil {
		return nil, faults
	}
	draft.verdicts = map[string]source.Verdict{}
	for url, offer := range round {
		draft.verdicts[url] = source.Verdict{Offer: offer, Use: draft.used[url], Until: draft.until[url], Refused: refused[url]}
	}
	return draft, faults
}

// follow puts into force what has changed of the things that the configuration
// in force names, while its file has another one that cannot come into force (yet):
// a list with a revoked client does not wait for somebody to mend a file.
func (p *Publisher) follow(ctx context.Context) {
	if p.inForce == nil {
		return
	}
	p.sources.Release()
	began, cfg := time.Now(), p.inForce.Config
	o := p.options()
	o.found = foundBy(p.points, cfg)
	round, _ := p.sources.Offers(o.found.sources(cfg))
	draft, faults := compileRound(cfg, o, round)
	if draft == nil {
		return // what is at fault, the file that came instead has said, or will
	}
	if slices.EqualFunc(draft.Stores, p.inForce.Stores, func(a, b *verify.Store) bool { return a.Generation() == b.Generation() }) &&
		sameCredentials(draft, p.inForce) {
		p.settle(draft)
		return
	}
	draft.warnings = faults
	if err := p.enforce(ctx, draft); err != nil {
		p.cfg.Logger.Error("what the configuration in force names has changed, and stays as it was", "error", err)
		return
	}
	p.note(began, "something that the configuration in force names changed", nil)
	p.cfg.Logger.Info("what the configuration in force names has changed, and is in force; what its file says now is not",
		"snapshot", p.cfg.Node.Current().Number, "took", time.Since(began).Round(time.Microsecond))
}

// A trial is what one source could have in force.
type trial struct {
	url  string
	copy *source.Copy
}

// choose compiles with what the sources have now, as far as it is good, and
// else with what they had; a list that only certificates name can be missing. It
// says why something is not good.
func choose(cfg *config.Config, o Options) (*Draft, config.Faults, map[string]error) {
	compile := func(use map[string]*source.Copy) (*Draft, config.Faults) {
		o.use = use
		return Compile(cfg, o)
	}
	newest, known := map[string]*source.Copy{}, map[string]*source.Copy{}
	var trials []trial
	restored, anyFound := false, false
	for url, offer := range o.round {
		newest[url], known[url] = cmp.Or(offer.Fresh, offer.Kept), cmp.Or(offer.Kept, offer.Fresh)
		if offer.Spec.Found() {
			known[url], anyFound = offer.Kept, true
		}
		if known[url] != newest[url] {
			trials = append(trials, trial{url, newest[url]})
			restored = restored || offer.Restored && offer.Kept != nil
		}
	}
	if restored {
		// What was in force before the program started counts as in force: a
		// revocation list may not be older.
		if before, _ := compile(known); before != nil {
			o.InForce = before
		}
	}
	draft, faults := compile(newest)
	if draft != nil || len(trials) == 0 && !anyFound {
		return draft, faults, nil
	}
	draft, found := compile(known)
	if draft == nil && anyFound {
		// One of those that certificates name has become of no use.
		for url, offer := range o.round {
			if offer.Spec.Found() && offer.Kept != nil {
				known[url] = nil
				trials = append(trials, trial{url, offer.Kept})
			}
		}
		draft, found = compile(known)
	}
	if draft == nil {
		return nil, faults, nil
	}
	// One by one: a bundle and a list that go together are found in two rounds.
	slices.SortStableFunc(trials, func(a, b trial) int { return cmp.Compare(a.url, b.url) })
	refused := map[string]error{}
	for again := true; again; {
		again = false
		for _, t := range trials {
			if known[t.url] == newest[t.url] {
				continue
			}
			use := maps.Clone(known)
			use[t.url] = t.copy
			d, f := compile(use)
			if d == nil {
				refused[t.url] = sentence(f)
				continue
			}
			if known[t.url] == t.copy {
				continue // no better than it was
			}
			draft, found, known, again = d, f, use, true
			if t.copy == newest[t.url] {
				delete(refused, t.url)
			}
		}
	}
	return draft, found, refused
}

// sentence is the first of several faults.
func sentence(faults config.Faults) error {
	bad := slices.DeleteFunc(slices.Clone(faults), func(f config.Fault) bool { return f.Warning })
	f := bad[0]
	text := f.Found
	if f.Expected != "" {
		text += ", expected " + f.Expected
	}
	if len(bad) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(bad)-1)
	}
	return errors.New(text)
}

// Fetched returns the sources of a configuration that are not files. A URL in
// several places is one, asked for as often and as large as any of them says.
func Fetched(cfg *config.Config) []source.Spec {
	var specs []source.Spec
	add := func(list []config.Source, refresh time.Duration, limit int64, keys bool) {
		for _, s := range list {
			if !s.Remote() {
				continue
			}
			i := slices.IndexFunc(specs, func(have source.Spec) bool { return have.URL == s.URL })
			if i < 0 {
				i = len(specs)
				specs = append(specs, source.Spec{Refresh: refresh,
					Spec: origin.Spec{URL: s.URL, CA: s.CA, Endpoint: s.Endpoint, Region: s.Region, Timeout: s.Timeout}})
			}
			specs[i].Refresh = min(specs[i].Refresh, refresh)
			specs[i].Limit = max(specs[i].Limit, limit)
			specs[i].Keys = specs[i].Keys || keys
		}
	}
	for _, ts := range cfg.TrustStores {
		add(ts.CABundle, ts.Refresh, ts.Limits.CABundleSize, false)
		if r := ts.Revocation; r != nil {
			add(r.CRLs, r.Refresh, ts.Limits.CRLSize, false)
		}
	}
	for _, cr := range cfg.Credentials {
		if cr.JWKS != nil {
			add([]config.Source{*cr.JWKS}, cr.Refresh, jwt.MaxSize, true)
		}
	}
	return specs
}

// An opened source is read from its start.
type opened struct {
	revocation.File
	close func() error
}

// name is how a source is called in messages.
func name(s config.Source) string { return origin.Spec{URL: s.URL}.Name() }

// source opens a source that holds something, or reports why not.
func (c *compiler) source(path string, s config.Source) (opened, bool) {
	if f, ok := c.options.candidate.open(s); ok {
		return f, true
	}
	if !s.Remote() {
		f, ok := c.open(path, s.URL)
		if !ok {
			return opened{}, false
		}
		if info, err := f.Stat(); err == nil && info.Size() == 0 {
			f.Close()
			c.empty(path, s.URL)
			return opened{}, false
		}
		return opened{f, f.Close}, true
	}
	c.authorities(path, s)
	offer, ok := c.options.round[s.URL]
	used := c.options.use[s.URL]
	switch {
	case !ok: // the configuration has other faults
		return opened{}, false
	case used == nil:
		c.fault(path, fmt.Sprintf("%s, which cannot be fetched (%v)", name(s), offer.Fault), "something to enforce",
			"there is no copy in "+c.cfg.Node.DataDir+" from which to start without it either")
		return opened{}, false
	case offer.Fault != nil && c.options.Sources == nil:
		c.warn(path, fmt.Sprintf("%s, which cannot be fetched (%v)", name(s), offer.Fault), "",
			"the copy of "+used.Fetched.Format(time.RFC3339)+" in "+c.cfg.Node.DataDir+" is used")
	}
	if c.draft.used == nil {
		c.draft.used = map[string]*source.Copy{}
	}
	c.draft.used[s.URL] = used
	return opened{used.Open(), func() error { return nil }}, true
}

// authorities checks those of a source's server.
func (c *compiler) authorities(path string, s config.Source) {
	if s.CA == "" {
		return
	}
	if pem, ok := c.read(path+".ca", s.CA, pemSize); ok && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		c.fault(path+".ca", s.CA+", which has no certificate", "the authorities of the server's certificate in PEM", "")
	}
}

// replaceBefore notes when what a source has must be replaced.
func (c *compiler) replaceBefore(s config.Source, at time.Time) {
	if c.draft.until == nil {
		c.draft.until = map[string]time.Time{}
	}
	if known, ok := c.draft.until[s.URL]; !ok || at.Before(known) {
		c.draft.until[s.URL] = at
	}
}

// all returns what is in a source of at most limit bytes, or reports why not.
func (c *compiler) all(path string, s config.Source, limit int64) ([]byte, bool) {
	f, ok := c.source(path, s)
	if !ok {
		return nil, false
	}
	defer f.close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		c.unreadable(path, f.Name(), err)
	case int64(len(data)) > limit:
		c.tooLarge(path, f.Name(), limit)
	default:
		return data, true
	}
	return nil, false
}

// fresh reports whether something in the draft has just been fetched.
func (d *Draft) fresh() bool {
	for _, v := range d.verdicts {
		if v.Use != nil && v.Use == v.Offer.Fresh {
			return true
		}
	}
	return false
}

// sourceStates tells the metrics of the sources.
func (p *Publisher) sourceStates() []telemetry.Source {
	var all []telemetry.Source
	for _, s := range p.sources.States() {
		all = append(all, telemetry.Source{Name: s.Name, Good: s.Fault == "", Checked: s.Checked, Failures: s.Failures})
	}
	return all
}
