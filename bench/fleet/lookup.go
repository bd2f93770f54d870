package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"countersign.dev/internal/control/device/mirror"
	"countersign.dev/internal/pgserver"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
)

// A Spec says what is to be looked up.
type Spec struct {
	SQLite   string // path of the file; or
	Postgres string // directory of a server's socket
	Devices  int    // there are
	Lookups  int    // to measure
}

// A Result says what that took.
type Result struct {
	P50   time.Duration
	P99   time.Duration
	Trips float64 // for each, over a connection that is warm; PostgreSQL's alone
}

// Measure looks devices up.
func (s Spec) Measure(ctx context.Context) (Result, error) {
	if s.SQLite != "" {
		file, err := sqlite.Open(ctx, sqlite.Config{Path: s.SQLite})
		if err != nil {
			return Result{}, err
		}
		r, err := s.cold(ctx, file)
		return r, errors.Join(err, file.Close())
	}
	server, err := postgres.Open(ctx, postgres.Config{URL: pgserver.URL(s.Postgres)})
	if err != nil {
		return Result{}, err
	}
	r, err := s.cold(ctx, server)
	if err = errors.Join(err, server.Close()); err != nil {
		return r, err
	}
	r.Trips, err = s.trips(ctx)
	return r, err
}

// cold holds devices that the mirror of a node does not know yet, each once, one
// after the other, as connections do.
func (s Spec) cold(ctx context.Context, from *store.Store) (Result, error) {
	m := mirror.New(mirror.Config{})
	following, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Follow(following, mirror.Source{Standings: from.Standings, Changes: from.Changes, Suspect: func([]string) {}})
	}()
	defer func() { stop(); <-done }()
	took := make([]time.Duration, 0, s.Lookups)
	for _, n := range rand.Perm(s.Devices)[:min(s.Lookups, s.Devices)] {
		began := time.Now()
		record := m.Hold(Device(n))
		m.Await(ctx, record)
		took = append(took, time.Since(began))
		if known := record.Known(); known == nil || known.State != state(n) {
			return Result{}, fmt.Errorf("device %s is %+v: want it %s", Device(n), known, state(n))
		}
		m.Release(record)
	}
	slices.Sort(took)
	return Result{P50: took[len(took)/2], P99: took[len(took)*99/100]}, nil
}

// trips asks the same question on one connection again and again, and returns how
// many round trips each takes.
func (s Spec) trips(ctx context.Context) (_ float64, err error) {
	dir, err := os.MkdirTemp("", "trips")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	watch, err := watchTrips(dir, s.Postgres)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, watch.stop()) }()
	server, err := postgres.Open(ctx, postgres.Config{URL: pgserver.URL(dir), Connections: 1})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	ask := func(n int) error {
		found, err := server.Standings.Standings(ctx, []string{Device(n)})
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%d devices are called %s: want one", len(found), Device(n))
		}
		return err
	}
	if err := ask(0); err != nil { // which also has the question prepared
		return 0, err
	}
	const times = 100
	before := watch.count.Load()
	for i := range times {
		if err := ask(i % s.Devices); err != nil {
			return 0, err
		}
	}
	return float64(watch.count.Load()-before) / times, nil
}
