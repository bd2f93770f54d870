package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ocsp"
	"countersign.dev/internal/control/source"
	"countersign.dev/internal/control/source/points"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/credential/basic"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/forward/sticky"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A Draft is a configuration compiled: all of it is good, none of it is in force.
type Draft struct {
	Config *config.Config
	// Listeners are those of Config, in its order. They lack their Routes, which
	// need live target groups.
	Listeners []*snapshot.Listener
	Groups    []upstream.GroupConfig
	Stores    []*verify.Store
	Admin     Admin
	// Lists are the revocation lists of each trust store, by its name.
	Lists map[string][]*crl.List
	// TargetLists are those that targets of a group are held against, by its name.
	TargetLists map[string][]*crl.List
	// Read are the lists by file, so that those that stay as they are need not be
	// parsed for the next draft.
	Read *revocation.Cache
	// Credentials are what require can name, by name.
	Credentials map[string]compiledCredential
	// Texts are what the TLVs say that have a value in the configuration.
	Texts []*idheader.Text
	// Expiries are the dates that an operator must not miss.
	Expiries []telemetry.Expiry

	routes   []*routes                   // of each listener
	sealing  *sticky.Keys                // of cookies; nil: the publisher has them
	tickets  *handshake.SharedTicketKeys // nil: this node has its own
	lines    map[string]*ocsp.Line       // by which responders are asked, by trust store
	used     map[string]*source.Copy     // of what is fetched, by URL
	until    map[string]time.Time        // by URL: when a source's lists must be replaced
	verdicts map[string]source.Verdict
	warnings config.Faults
	found    found                       // lists that certificates name, by trust store
	finders  map[string]*points.Inquirer // who finds them, by trust store
}

// Options are what a configuration is compiled with; the zero value is a look at
// the configuration alone.
type Options struct {
	// Keys seal session tickets; nil serves none.
	Keys *handshake.TicketKeys
	// InForce is the draft that this one would replace: a revocation list may not
	// be older than the one in force.
	InForce *Draft
	// Sources have what is fetched. nil: it is fetched for this once, and what a
	// node has kept serves where that fails.
	Sources *source.Keeper
	// Points know which lists certificates name. nil: those that a node remembers.
	Points *points.Book
	// Newest are the policies of a listener in force, by its name.
	Newest func(listener string) *handshake.Policies
	// Tokens signs what targets are told.
	Tokens idheader.Signer
	// Rotations fetch an issuer's keys anew. nil: nobody does.
	Rotations *Rotations
	// Turns are those of passwords that are verified. nil: each credential has its own.
	Turns *basic.Turns
	// OCSP asks responders. nil: nobody is asked, and nothing is known.
	OCSP *ocsp.Asker

	waiting *WaitingError // unless nil, told of sources that would have to be waited for; then there is no Draft
	found   found
	round   source.Round            // what there is to choose from
	use     map[string]*source.Copy // what was chosen

	candidate *Candidate // in the place of a source; nil: none
}

// Read reads the configuration at path with everything it names, and compiles
// it. All faults are reported at once: those of the configuration, and those of
// the files that could be made out. The Draft is nil if one is more than a
// warning. named, unless nil, is told which files are about to be read.
func Read(ctx context.Context, path string, o Options, named func(files []string)) (*Draft, config.Faults) {
	cfg, faults := config.Inspect(path)
	if cfg == nil {
		return nil, faults
	}
	if named != nil {
		named(cfg.Files())
	}
	if faults.Err() != nil {
		return nil, o.besides(cfg, append(append(faults, o.ofFiles(cfg)...), o.dataDir(cfg)...))
	}
	draft, found := compileFetched(ctx, cfg, o)
	return draft, o.besides(cfg, append(faults, found...))
}

// ofFiles are the faults of the files alone that a configuration names.
func (o *Options) ofFiles(cfg *config.Config) config.Faults {
	c := newCompiler(cfg, *o)
	c.files()
	return c.faults
}

// besides adds to faults that refuse a configuration those of its logs, which are
// not opened then. Logs that are open already are not looked for.
func (o *Options) besides(cfg *config.Config, faults config.Faults) config.Faults {
	if faults.Err() != nil && o.InForce == nil {
		faults = append(faults, Unwritable(cfg)...)
	}
	return faults.Sorted()
}

// Compile checks everything that the configuration names and compiles it; it
// fetches nothing. The Draft is nil if a fault is more than a warning.
func Compile(cfg *config.Config, o Options) (*Draft, config.Faults) {
	c := newCompiler(cfg, o)
	for i := range cfg.TrustStores {
		c.trustStore(i)
	}
	c.credentials()
	c.admin()
	c.early = c.bootstrap()
	c.enrollment()
	for i := range cfg.Listeners {
		c.listener(i)
	}
	if cfg.Node.StickinessKeys != "" {
		c.sealing()
	}
	if cfg.Node.TicketKeys != "" {
		c.tickets()
	}
	for i := range cfg.TargetGroups {
		c.targetGroup(i)
	}
	for i := range cfg.Authorities {
		c.authority(i)
	}
	faults := c.faults.Sorted()
	if faults.Err() != nil {
		return nil, faults
	}
	return c.draft, faults
}

func newCompiler(cfg *config.Config, o Options) *compiler {
	return &compiler{cfg: cfg, options: o, stores: map[string]*verify.Store{},
		draft: &Draft{Config: cfg, found: o.found, Lists: map[string][]*crl.List{}, TargetLists: map[string][]*crl.List{}, Read: &revocation.Cache{}, Credentials: map[string]compiledCredential{}}}
}

// files looks into the files of a configuration that has faults of its own.
func (c *compiler) files() {
	for i := range c.cfg.TrustStores {
		ts, path := &c.cfg.TrustStores[i], fmt.Sprintf("trust_stores[%d]", i)
		anchors := c.anchors(ts, path)
		if ts.Revocation != nil {
			c.revocation(ts, path, anchors)
		}
	}
	for i := range c.cfg.Listeners {
		l := &c.cfg.Listeners[i]
		c.certificates(l.Certificates, l.Name, fmt.Sprintf("listeners[%d]", i))
	}
	c.certificates(c.cfg.Node.Admin.Certificates, "node.admin", "node.admin")
	c.credentials()
	for i := range c.cfg.TargetGroups {
		c.targetTLS(i)
	}
}

// A compiler collects faults instead of stopping at the first.
type compiler struct {
	cfg     *config.Config
	options Options
	stores  map[string]*verify.Store // nil for one with faults
	faults  config.Faults
	draft   *Draft
	early   string // the id of devices that have none of their own yet
}

func (c *compiler) fault(path, found, expected, hint string) {
	c.faults = append(c.faults, c.cfg.Fault(path, found, expected, hint))
}

func (c *compiler) warn(path, found, expected, hint string) {
	c.faults = append(c.faults, c.cfg.Warn(path, found, expected, hint))
}

// problem reports what is wrong inside the file that the key at path names.
func (c *compiler) problem(path, file string, p verify.Problem) {
	found := file
	if p.Line > 0 {
		found = fmt.Sprintf("%s, line %d", file, p.Line)
	}
	found += ": " + p.What
	if p.Warning {
		c.warn(path, found, p.Want, p.Hint)
	} else {
		c.fault(path, found, p.Want, p.Hint)
	}
}

// errs reports each error that err joins at path.
func (c *compiler) errs(path string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			c.errs(path, e)
		}
		return
	}
	c.fault(path, err.Error(), "", "")
}

// read returns the content of a file of at most limit bytes, or reports why not.
func (c *compiler) read(path, file string, limit int64) ([]byte, bool) {
	f, ok := c.open(path, file)
	if !ok {
		return nil, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		c.unreadable(path, file, err)
	case int64(len(data)) > limit:
		c.tooLarge(path, file, limit)
	case len(data) == 0:
		c.empty(path, file)
	default:
		return data, true
	}
	return nil, false
}

// open returns a regular file, or reports why not.
func (c *compiler) open(path, file string) (*os.File, bool) {
	if file == "" {
		return nil, false // the configuration lacks it, and that is a fault already
	}
	// O_NONBLOCK: a named pipe is a fault, not a wait for somebody to write to it.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		c.unreadable(path, file, err)
		return nil, false
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		c.unreadable(path, file, err)
	case !info.Mode().IsRegular():
		c.fault(path, file+", which is not a regular file", "a file", "")
	default:
		return f, true
	}
	f.Close()
	return nil, false
}

func (c *compiler) unreadable(path, file string, err error) {
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = cause.Err
	}
	c.fault(path, fmt.Sprintf("%s, which cannot be read (%v)", file, err), "a readable file", "")
}

func (c *compiler) tooLarge(path, file string, limit int64) {
	c.fault(path, fmt.Sprintf("%s, which is larger than %d bytes", file, limit), "a smaller file", "is it the right one?")
}

func (c *compiler) empty(path, file string) {
	c.fault(path, file+", which is empty", "PEM text", "was it written completely? replace files by rename")
}

func (c *compiler) targetGroup(i int) {
	g := &c.cfg.TargetGroups[i]
	out := upstream.GroupConfig{
		Name: g.Name, Protocol: g.Protocol, FailOpen: g.FailOpen, Attempts: g.Retries.Attempts,
		ConnectTimeout: g.ConnectTimeout, DeregistrationDelay: g.DeregistrationDelay,
	}
	if out.DeregistrationDelay == 0 {
		out.DeregistrationDelay = -1 // the file's 0 is "at once", not "as usual"
	}
	if a := g.ProxyProtocol; a != nil {
		out.Proxy = c.announcement(a, fmt.Sprintf("target_groups[%d].proxy_protocol", i))
	}
	if t := g.ConnectionTermination; t != nil {
		out.Termination = &upstream.Termination{Deregistration: t.Deregistration, Unhealthy: t.Unhealthy, UnhealthyDraining: t.UnhealthyDrainingInterval}
	}
	out.KeepAlive = probing(g.Timeouts.TCPKeepAlive, g.Timeouts.TCPUserTimeout, targetKeepAlive)
	out.TLS = c.targetTLS(i)
	c.sharing(g, &out)
	out.Health = c.healthCheck(g, &out, fmt.Sprintf("target_groups[%d].health_check", i))
	c.draft.Groups = append(c.draft.Groups, out)
}

// expires notes a date; owner is the listener or trust store.
func (c *compiler) expires(kind, owner, file string, at time.Time) {
	if !at.IsZero() {
		c.draft.Expiries = append(c.draft.Expiries, telemetry.Expiry{Kind: kind, Owner: owner, Name: file, At: at})
	}
}

// policyName is how a policy is called in logs: the first of its names.
func policyName(names []string) string { return cmp.Or(append(names, "default")...) }
