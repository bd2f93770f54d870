package points

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/control/source"
)

const (
	patience   = 5 * time.Second     // of a handshake, from when a list was first asked for
	unneeded   = 30 * 24 * time.Hour // after which a list is dropped
	coarse     = time.Hour           // to which it is remembered when a list was needed
	mostPoints = 8                   // of a certificate that are looked at
	mostOf     = 8                   // authorities whose certificates name one list
	mostWarned = 64                  // things that were told of a trust store
)

// Config is what a Book works with; its zero value works.
type Config struct {
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
	// Ask has a list fetched, now and again; nil: nothing is ever asked for.
	Ask func(source.Spec)
	// Again has what was fetched judged anew.
	Again func()
}

// A Book knows the distribution points of all trust stores. Its methods are safe
// for concurrent use.
type Book struct {
	cfg Config

	mu     sync.Mutex
	path   string // of the file; "": none
	dirty  bool   // the file is to be written
	stores map[string]*shelf
}

// A shelf has the points of a trust store.
type shelf struct {
	points atomic.Pointer[map[string]*point] // by URL; replaced when there is another
	warned map[string]bool
}

// A point is a list that a certificate names.
type point struct {
	url     string
	asked   time.Time // for the first time since the program started
	state   atomic.Int32
	settled chan struct{} // closed when state is not pending any more
	needed  atomic.Int64  // when a certificate last named it, in Unix seconds
	issuers [][]byte      // DER of the authorities whose certificates do; guarded by Book.mu
}

// The states of a point.
const (
	pending int32 = iota // it is being fetched for the first time
	held                 // its list is in force
	failed               // there is none
)

// New returns a Book without points.
func New(cfg Config) *Book {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Book{cfg: cfg, stores: map[string]*shelf{}}
}

// shelf returns that of a store; the caller holds the lock.
func (b *Book) shelf(store string) *shelf {
	s := b.stores[store]
	if s == nil {
		s = &shelf{warned: map[string]bool{}}
		s.points.Store(&map[string]*point{})
		b.stores[store] = s
	}
	return s
}

// A Point is a list that certificates of a trust store's clients name.
type Point struct {
	URL     string
	Issuers []*x509.Certificate // one of which has to have signed it
}

// Of returns the points of a trust store, in order of their URLs.
func (b *Book) Of(store string) []Point {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Point
	for _, p := range *b.shelf(store).points.Load() {
		out := Point{URL: p.url}
		for _, der := range p.issuers {
			if c, err := x509.ParseCertificate(der); err == nil {
				out.Issuers = append(out.Issuers, c)
			}
		}
		all = append(all, out)
	}
	slices.SortFunc(all, func(a, b Point) int { return bytes.Compare([]byte(a.URL), []byte(b.URL)) })
	return all
}

// add notes that certificates of an issuer name a list, and has it asked for. It
// returns nil if there are too many already.
func (b *Book) add(a *Inquirer, url string, issuer *x509.Certificate) *point {
	b.mu.Lock()
	s := b.shelf(a.store)
	known := *s.points.Load()
	p := known[url]
	if p == nil && len(known) >= a.Most {
		b.mu.Unlock()
		return nil
	}
	now := b.cfg.Now()
	isNew, more := p == nil, false
	if isNew {
		p = &point{url: url, asked: now, settled: make(chan struct{})}
		p.touch(now)
		next := maps.Clone(known)
		next[url] = p
		s.points.Store(&next)
		b.cfg.Logger.Info("a client's certificate names a revocation list, which is fetched from now on",
			"trust_store", a.store, "source", spec(a, url).Name())
	}
	if len(p.issuers) < mostOf && !slices.ContainsFunc(p.issuers, func(der []byte) bool { return bytes.Equal(der, issuer.Raw) }) {
		p.issuers = append(p.issuers, issuer.Raw)
		b.dirty, more = true, true
	}
	b.mu.Unlock()
	switch {
	case isNew && b.cfg.Ask != nil:
		b.cfg.Ask(spec(a, url))
	case more && !isNew && b.cfg.Again != nil:
		b.cfg.Again()
	}
	return p
}

func spec(a *Inquirer, url string) source.Spec {
	s := a.Spec
	s.URL = url
	return s
}

// warn tells the log of a thing once; the caller holds the lock.
func (b *Book) warn(s *shelf, thing, text string, args ...any) {
	if !s.warned[thing] && len(s.warned) < mostWarned {
		s.warned[thing] = true
		b.cfg.Logger.Warn(text, args...)
	}
}

// touch notes that the point is needed. It reports whether that is worth writing down.
func (p *point) touch(now time.Time) bool {
	at := now.Unix()
	if at-p.needed.Load() < int64(coarse/time.Second) {
		return false
	}
	p.needed.Store(at)
	return true
}

// settle says what became of a point; the caller holds the lock.
func (p *point) settle(state int32) {
	if p.state.Swap(state) == pending && state != pending {
		close(p.settled)
	}
}

// Settle says what is in force: of each trust store that has points, and of
// each of those, whether its list is. Of others nothing is known yet.
func (b *Book) Settle(outcome map[string]map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for store, points := range outcome {
		known := *b.shelf(store).points.Load()
		for url, good := range points {
			switch p := known[url]; {
			case p == nil:
			case good:
				p.settle(held)
			default:
				p.settle(failed)
			}
		}
	}
	b.save()
}

// Missed says that a list cannot be had.
func (b *Book) Missed(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.stores {
		if p := (*s.points.Load())[url]; p != nil && p.state.Load() == pending {
			p.settle(failed)
		}
	}
}

// Sweep drops the points that no certificate has named for a month, and those of
// trust stores that are not among stores. It reports whether there were any.
func (b *Book) Sweep(stores []string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var dropped bool
	since := b.cfg.Now().Add(-unneeded).Unix()
	for name, s := range b.stores {
		left := map[string]*point{}
		known := *s.points.Load()
		for url, p := range known {
			if slices.Contains(stores, name) && p.needed.Load() >= since {
				left[url] = p
				continue
			}
			p.settle(failed)
			b.cfg.Logger.Info("a revocation list is dropped that no client's certificate has named for long", "trust_store", name, "source", url)
		}
		if len(left) < len(known) {
			s.points.Store(&left)
			s.warned = map[string]bool{}
			dropped, b.dirty = true, true
		}
	}
	b.save()
	return dropped
}
