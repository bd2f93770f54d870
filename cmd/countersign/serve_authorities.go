package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance/lint"
	"countersign.dev/internal/control/ca/wellknown"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/withdraw"
	"countersign.dev/internal/store"
)

// authorities are the authorities of the configuration in force, with where they
// publish.
type authorities struct {
	logger *slog.Logger
	store  func() *store.Store // that in use; nil: none is open

	mu        sync.Mutex
	running   map[string]*authority // by name
	address   string                // of the server
	endServer func() <-chan error   // nil: there is none
	published atomic.Pointer[wellknown.Handler]
	ending    sync.WaitGroup // of what was replaced
}

// An authority is open, and its lists are kept.
type authority struct {
	settings    authoritySettings
	publication wellknown.Publication
	end         func()
}

// authoritySettings are what it was opened with: another authority has others.
type authoritySettings struct {
	config.Authority
	url, passphrase string
}

// ServeHTTP publishes.
func (a *authorities) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := a.published.Load(); h != nil {
		h.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// prepare opens what cfg has, and is not open yet.
func (a *authorities) prepare(cfg *config.Config) (publish.Change, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, fresh := map[string]*authority{}, []*authority{}
	abandon := func() {
		for _, one := range fresh {
			one.publication.Authority.Close() // it was never used
		}
	}
	for i := range cfg.Authorities {
		one, err := a.open(cfg, &cfg.Authorities[i])
		if err != nil {
			abandon()
			return publish.Change{}, config.Faults{cfg.Fault(fmt.Sprintf("authorities[%d].dir", i), err.Error(), "an authority that can be used", "")}
		}
		if one.end == nil {
			fresh = append(fresh, one)
		}
		next[cfg.Authorities[i].Name] = one
	}
	address := ""
	if r := cfg.Node.Revocation; r != nil {
		address = r.Address
	}
	var server *wellknown.Server
	if address != "" && address != a.address {
		var err error
		if server, err = wellknown.Listen(address, a, a.logger); err != nil {
			abandon()
			return publish.Change{}, config.Faults{publish.AddressFault(cfg, "node.revocation.address", address, err)}
		}
	}
	return publish.Change{
		Apply: func() { a.replace(next, address, server) },
		Abandon: func() {
			abandon()
			if server != nil {
				server.Close() // it never served
			}
		},
	}, nil
}

// open returns the authority that runs already, or one that does not run yet.
func (a *authorities) open(cfg *config.Config, wanted *config.Authority) (*authority, error) {
	settings := authoritySettings{Authority: *wanted}
	if r := cfg.Node.Revocation; r != nil {
		settings.url = r.URL
	}
	if wanted.PassphraseFile != "" {
		passphrase, err := holder.ReadPassphrase(wanted.PassphraseFile)
		if err != nil {
			return nil, err
		}
		settings.passphrase = string(passphrase)
	}
	if one := a.running[wanted.Name]; one != nil && one.settings == settings {
		return one, nil
	}
	c := ca.Config{
		Dir: wanted.Dir, Passphrase: []byte(settings.passphrase), Lifetime: wanted.Lifetime,
		CRLLifetime: wanted.CRL.Lifetime, CRLCopy: wanted.CRL.File,
	}
	if wanted.Ledger == "store" {
		c.Ledger = storeLedger{a.store, wanted.Name}
	}
	if settings.url != "" {
		c.Locations = func(number int) lint.Locations {
			return wellknown.Locations(settings.url, wanted.Name, number, wanted.OCSP)
		}
	}
	opened, err := ca.Open(c)
	if err != nil {
		return nil, err
	}
	return &authority{settings: settings, publication: wellknown.Publish(opened, wanted.OCSP, a.logger)}, nil
}

// named returns an authority in use; nil: there is none with that name.
func (a *authorities) named(name string) *ca.Authority {
	a.mu.Lock()
	defer a.mu.Unlock()
	if one := a.running[name]; one != nil {
		return one.publication.Authority
	}
	return nil
}

// issuers are those in use.
func (a *authorities) issuers() (all []withdraw.Authority) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.running {
		all = append(all, one.publication.Authority)
	}
	return all
}

// replace puts next into the place of what runs.
func (a *authorities) replace(next map[string]*authority, address string, server *wellknown.Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &wellknown.Handler{Publications: map[string]wellknown.Publication{}, Logger: a.logger}
	for name, one := range next {
		h.Publications[name] = one.publication
		if one.end != nil {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		var keeping sync.WaitGroup
		keeping.Go(func() { one.publication.Authority.Keep(ctx, a.logger.With("name", name)) })
		one.end = func() {
			cancel()
			keeping.Wait()
			if err := one.publication.Authority.Close(); err != nil {
				a.logger.Error("an authority's keys were not given up in good order", "name", name, "error", err)
			}
		}
	}
	a.published.Store(h)
	for name, one := range a.running {
		if next[name] != one {
			a.ending.Go(one.end) // it may be signing
		}
	}
	a.running = next
	if address == a.address {
		return
	}
	if a.endServer != nil {
		ended := a.endServer()
		a.ending.Go(func() { a.logEnd(<-ended) }) // it waits for its answers
	}
	a.address, a.endServer = address, nil
	if server != nil {
		a.endServer = begin(server)
		a.logger.Info("revocation lists are published", "address", address, "bound", server.Addr().String())
	}
}

func (a *authorities) logEnd(err error) {
	if err != nil {
		a.logger.Error("the address of revocation lists was not given up in good order", "error", err)
	}
}

// stop ends everything.
func (a *authorities) stop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var err error
	if a.endServer != nil {
		err = errors.Join(err, <-a.endServer())
	}
	for _, one := range a.running {
		one.end()
	}
	a.running, a.endServer, a.address = nil, nil, ""
	a.ending.Wait()
	return err
}
