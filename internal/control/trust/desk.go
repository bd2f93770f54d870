package trust

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/trust/consequence"
	"countersign.dev/internal/control/trust/seen"
)

// A Publisher has what is in force: a publish.Publisher.
type Publisher interface {
	Status() publish.Status
	Compare(publish.Candidate) (now, then *publish.Draft, faults config.Faults, err error)
	Reload(context.Context) error
}

// Config is what a Desk works with.
type Config struct {
	Publisher Publisher
	Node      consequence.Node
	Seen      *seen.Witness    // the clients that were seen; nil: nobody remembers them
	Logger    *slog.Logger     // nil: nothing is logged
	Now       func() time.Time // nil: time.Now
}

// A Desk has the candidates of a node, one for a trust store at most, in its
// data_dir. It is safe for concurrent use.
type Desk struct {
	cfg Config
	mu  sync.Mutex // held by whoever changes what is staged
}

// New returns the Desk of a node.
func New(cfg Config) *Desk {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Desk{cfg: cfg}
}

// A Refusal says why something was not done.
type Refusal struct {
	Code   Code
	Detail string
	Faults config.Faults // of the candidate
}

// A Code is stable: scripts depend on it.
type Code string

// The codes.
const (
	StoreUnknown  Code = "trust_store_unknown"
	NoDataDir     Code = "no_data_dir"     // there is no place for candidates
	NothingStaged Code = "nothing_staged"  // for that trust store
	WhichSource   Code = "which_source"    // the trust store has several, or none, of that kind
	Invalid       Code = "candidate_bad"   // a reload would refuse it
	BaseChanged   Code = "base_changed"    // somebody has replaced the file since
	WouldRefuse   Code = "would_refuse"    // more clients than was said
	Remote        Code = "source_is_a_url" // which nobody can replace from here
	NotReplaced   Code = "not_replaced"    // the disk, or a reload, did not let it
)

// Error returns the detail, and each fault on a line of its own.
func (r *Refusal) Error() string {
	if len(r.Faults) == 0 {
		return r.Detail
	}
	return r.Detail + "\n" + r.Faults.Error()
}

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// store finds a trust store of the configuration in force.
func (d *Desk) store(name string) (*config.Config, *config.TrustStore, error) {
	draft := d.cfg.Publisher.Status().Draft
	if draft == nil {
		return nil, nil, refuse(StoreUnknown, "no configuration is in force yet")
	}
	for i := range draft.Config.TrustStores {
		if ts := &draft.Config.TrustStores[i]; ts.Name == name {
			if draft.Config.Node.DataDir == "" {
				return nil, nil, refuse(NoDataDir, "node.data_dir is not set: a candidate is kept there, and so is who was seen; set it")
			}
			return draft.Config, ts, nil
		}
	}
	return nil, nil, refuse(StoreUnknown, "no trust store is called %q", name)
}

// Stage keeps content as the candidate of a trust store, in the place of another
// that it may have. source is the file or URL whose place it would take, "" where
// there is only one of its kind. A candidate that a reload would refuse is refused.
func (d *Desk) Stage(_ context.Context, store, source string, content []byte) (*client.Candidate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg, ts, err := d.store(store)
	if err != nil {
		return nil, err
	}
	kind, err := kindOf(content)
	if err != nil {
		return nil, err
	}
	src, err := sourceOf(ts, kind, source)
	if err != nil {
		return nil, err
	}
	c := client.Candidate{TrustStore: store, Kind: kind, For: src.URL, Remote: src.Remote(),
		SHA256: sum(content), Size: len(content), StagedAt: d.cfg.Now().UTC().Truncate(time.Second)}
	if c.Base, err = base(src); err != nil {
		return nil, refuse(NotReplaced, "what is there now cannot be read: %v", err)
	}
	if c.Base == c.SHA256 {
		return nil, refuse(Invalid, "%s has that very content: there is nothing to stage", src.URL)
	}
	_, _, faults, err := d.compare(&c, content)
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		c.Warnings = append(c.Warnings, f.String())
	}
	if err := keep(cfg.Node.DataDir, &c, content); err != nil {
		return nil, refuse(NotReplaced, "the candidate cannot be kept: %v", err)
	}
	d.cfg.Logger.Info("a candidate is staged", "trust_store", store, "kind", kind, "for", src.URL, "sha256", c.SHA256)
	return &c, nil
}

// compare compiles with the candidate. The faults are warnings that today's
// content of its source does not have.
func (d *Desk) compare(c *client.Candidate, content []byte) (now, then *publish.Draft, warnings config.Faults, err error) {
	now, then, faults, err := d.cfg.Publisher.Compare(publish.Candidate{URL: c.For, Content: bytes.NewReader(content), Size: int64(len(content))})
	if err != nil {
		return nil, nil, nil, refuse(StoreUnknown, "%v", err)
	}
	if then == nil {
		r := refuse(Invalid, "a reload would refuse it in the place of %s: nothing was changed", c.For)
		r.Faults = faults
		return nil, nil, nil, r
	}
	known := map[string]bool{}
	for _, f := range d.cfg.Publisher.Status().Last.Faults {
		known[f.String()] = true
	}
	for _, f := range faults {
		if !known[f.String()] {
			warnings = append(warnings, f)
		}
	}
	return now, then, warnings, nil
}

// Diff says what would become of clients if the candidate of a trust store came
// into force. It names at most limit clients of each sort.
func (d *Desk) Diff(ctx context.Context, store string, limit int) (*client.Diff, error) {
	_, c, content, err := d.staged(store)
	if err != nil {
		return nil, err
	}
	diff, _, err := d.ask(ctx, c, content, limit)
	return diff, err
}

// ask also returns what would be in force.
func (d *Desk) ask(ctx context.Context, c *client.Candidate, content []byte, limit int) (*client.Diff, *publish.Draft, error) {
	now, then, warnings, err := d.compare(c, content)
	if err != nil {
		return nil, nil, err
	}
	c.Warnings = nil
	for _, w := range warnings {
		c.Warnings = append(c.Warnings, w.String())
	}
	q := consequence.Question{Candidate: *c, Now: now, Then: then, Node: d.cfg.Node, At: d.cfg.Now(), Limit: limit}
	if d.cfg.Seen != nil {
		q.Memory = d.cfg.Seen.Memory()
	}
	diff, err := consequence.Ask(ctx, q)
	return diff, then, err
}

// Staged returns the candidates, by trust store.
func (d *Desk) Staged() ([]client.Candidate, error) {
	draft := d.cfg.Publisher.Status().Draft
	if draft == nil || draft.Config.Node.DataDir == "" {
		return nil, nil
	}
	return kept(draft.Config.Node.DataDir)
}

// staged returns the candidate of a trust store.
func (d *Desk) staged(store string) (dir string, c *client.Candidate, content []byte, err error) {
	cfg, _, err := d.store(store)
	if err != nil {
		return "", nil, nil, err
	}
	c, content, err = find(cfg.Node.DataDir, store)
	switch {
	case err != nil:
		return "", nil, nil, refuse(NothingStaged, "what is staged for trust store %q cannot be used: %v; stage it again", store, err)
	case c == nil:
		return "", nil, nil, refuse(NothingStaged, "nothing is staged for trust store %q: countersign trust stage %s FILE", store, store)
	}
	return cfg.Node.DataDir, c, content, nil
}

// Abort forgets the candidate of a trust store.
func (d *Desk) Abort(store string) (*client.Candidate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, c, _, err := d.staged(store)
	if err != nil {
		return nil, err
	}
	if err := forget(dir, store); err != nil {
		return nil, refuse(NotReplaced, "the candidate is still there: %v", err)
	}
	d.cfg.Logger.Info("a candidate is forgotten", "trust_store", store, "for", c.For, "sha256", c.SHA256)
	return c, nil
}

// The kinds of candidates.
const (
	bundle = "bundle"
	list   = "list"
)

// kindOf tells a bundle from a list.
func kindOf(content []byte) (string, error) {
	crls, certificates := bytes.Contains(content, []byte("-----BEGIN X509 CRL-----")), bytes.Contains(content, []byte("CERTIFICATE-----"))
	switch {
	case len(bytes.TrimSpace(content)) == 0:
		return "", refuse(Invalid, "the file is empty")
	case crls && certificates:
		return "", refuse(Invalid, "the file has certificates and revocation lists; a candidate is one or the other: split it")
	case crls:
		return list, nil
	case certificates:
		return bundle, nil
	case isDERList(content):
		return list, nil
	}
	return bundle, nil // whose reader says best what is wrong with it
}

// sourceOf finds the source whose place a candidate takes.
func sourceOf(ts *config.TrustStore, kind, wanted string) (config.Source, error) {
	sources, key := ts.CABundle, "ca_bundle"
	if kind == list {
		key = "revocation.crls"
		if ts.Revocation == nil {
			return config.Source{}, refuse(WhichSource, "trust store %q has no revocation.crls, so that a list would take nothing's place: write them into the configuration", ts.Name)
		}
		sources = ts.Revocation.CRLs
	}
	var found []config.Source
	var names []string
	for _, s := range sources {
		names = append(names, s.URL)
		if s.URL == wanted {
			return s, nil
		}
		if wanted == "" || !s.Remote() && sameFile(s.URL, wanted) {
			found = append(found, s)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	have := cmp.Or(strings.Join(names, ", "), "nothing")
	if wanted == "" {
		return config.Source{}, refuse(WhichSource, "%s of trust store %q has %s: say for which of them with --for", key, ts.Name, have)
	}
	return config.Source{}, refuse(WhichSource, "%s of trust store %q has %s: found --for %q, expected one of them", key, ts.Name, have, wanted)
}

// sameFile reports whether somebody who writes a path, perhaps from its end or
// from where the node runs, may mean that file.
func sameFile(file, wanted string) bool {
	if abs, err := filepath.Abs(file); err == nil && abs == wanted {
		return true
	}
	return strings.HasSuffix("/"+file, "/"+strings.TrimPrefix(wanted, "./"))
}
