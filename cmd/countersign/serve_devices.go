package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"countersign.dev/internal/config"
	inventory "countersign.dev/internal/control/device"
	"countersign.dev/internal/control/device/mirror"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/withdraw"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/devices"
)

// storeName is SQLite's file in data_dir.
const storeName = "devices.db"

// registry is the registry of devices, with what of it belongs to a configuration.
// The store is opened once: another one takes a start.
type registry struct {
	logger   *slog.Logger
	mirror   *mirror.Mirror     // what of it traffic knows
	suspect  func(ids []string) // told of devices that have changed
	issuers  func() []withdraw.Authority
	outcomes func() map[string]uint64 // of enrollments

	mu      sync.Mutex
	where   string // of store, as it is configured
	store   *store.Store
	devices *inventory.Registry // nil: there is none
	stopped context.CancelFunc
	tending sync.WaitGroup
}

// inUse is api.Devices's.
func (r *registry) inUse() *inventory.Registry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.devices
}

// opened is the store in use; nil: there is none.
func (r *registry) opened() *store.Store {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store
}

// given waits until traffic knows the certificate that a device is about to get: it
// may be used at once.
func (r *registry) given(ctx context.Context, id string, fingerprint [32]byte) {
	ctx, cancel := context.WithTimeout(ctx, givenWithin)
	defer cancel()
	r.mirror.Refresh(ctx, id, func(k *devices.Knowledge) bool {
		return slices.ContainsFunc(k.Credentials, func(c devices.Credential) bool { return c.Fingerprint == fingerprint })
	})
}

// givenWithin bounds how long a device waits for that.
const givenWithin = 2 * time.Second

// prepare opens what cfg names. A store that cannot be opened has the
// configuration refused at a start; later the one that is open stays.
func (r *registry) prepare(ctx context.Context, draft *publish.Draft) (publish.Change, error) {
	cfg := draft.Config
	r.mu.Lock()
	defer r.mu.Unlock()
	if cfg.Devices == nil {
		return publish.Change{Apply: func() { r.use(nil) }, Abandon: func() {}}, nil
	}
	where := cfg.Node.Store
	if cfg.Node.InFile() {
		where = filepath.Join(cfg.Node.DataDir, storeName)
	}
	s, fresh := r.store, false
	switch {
	case s == nil:
		var err error
		if s, err = openStore(ctx, &cfg.Node, where); err != nil {
			return publish.Change{}, config.Faults{cfg.Fault("node.store", err.Error(), "a database that can be used", "")}
		}
		fresh = true
	case where != r.where:
		r.logger.Warn("node.store takes effect when the program starts anew")
	}
	devices := inventory.New(inventory.Config{Store: s, IDs: publish.DeviceIDs(cfg.Devices)})
	return publish.Change{
		Apply: func() {
			if fresh {
				r.keep(s, where, cfg.Node.DataDir)
			}
			r.use(devices)
		},
		Abandon: func() {
			if fresh {
				r.release(s)
			}
		},
	}, nil
}

func openStore(ctx context.Context, node *config.Node, where string) (*store.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if node.InFile() {
		return sqlite.Open(ctx, sqlite.Config{Path: where})
	}
	url, err := node.StoreURL()
	if err != nil {
		return nil, fmt.Errorf("a file that cannot be read: %w", err)
	}
	return postgres.Open(ctx, postgres.Config{URL: url})
}

func (r *registry) use(devices *inventory.Registry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.devices = devices
}

// How long the change log reaches back, and how often what is older is taken out.
const (
	changesKept  = 24 * time.Hour
	changesEvery = time.Hour
)

// keep has the store mirrored, followed for the authorities' lists, and pruned,
// until stop.
func (r *registry) keep(s *store.Store, where, dataDir string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	r.store, r.where, r.stopped = s, where, cancel
	r.tending.Go(func() {
		r.mirror.Follow(ctx, mirror.Source{Standings: s.Standings, Changes: s.Changes, Sightings: s.Sightings, Suspect: r.suspect})
	})
	place := "" // of its own, as SQLite's file is: without data_dir everything is looked at after each start
	if dataDir != "" {
		place = filepath.Join(dataDir, "withdrawn")
	}
	r.tending.Go(func() {
		withdraw.Follow(ctx, withdraw.Config{Devices: s.Devices, Credentials: s.Credentials, Changes: s.Changes,
			Authorities: r.issuers, Place: place, Logger: r.logger})
	})
	r.tending.Go(func() {
		t := time.NewTicker(changesEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-t.C:
				if err := s.Changes.Prune(ctx, now.Add(-changesKept)); err != nil && ctx.Err() == nil {
					r.logger.Warn("the change log of the store was not pruned, and is tried again in an hour", "error", err)
				}
			}
		}
	})
}

// figures are what the metrics tell of devices.
func (r *registry) figures() telemetry.Devices {
	s := r.mirror.State()
	return telemetry.Devices{Known: s.Devices, Connected: s.Held, Lookups: s.Lookups, Hits: s.Hits,
		Failures: s.Failures, Resyncs: s.Resyncs, Checked: s.Checked, Enrollments: r.outcomes()}
}

func (r *registry) release(s *store.Store) {
	if err := s.Close(); err != nil {
		r.logger.Error("the store was not closed in good order", "error", err)
	}
}

// rest ends what follows the store, and asks the authorities.
func (r *registry) rest() {
	r.mu.Lock()
	stopped := r.stopped
	r.devices = nil
	r.mu.Unlock()
	if stopped != nil {
		stopped()
		r.tending.Wait()
	}
}

// stop closes the store, in which nobody keeps books any more.
func (r *registry) stop() {
	r.rest()
	r.mu.Lock()
	s := r.store
	r.store = nil
	r.mu.Unlock()
	if s != nil {
		r.release(s)
	}
}
