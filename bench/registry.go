package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"countersign.dev/bench/fleet"
	"countersign.dev/bench/measure"
	"countersign.dev/bench/peer"
	"countersign.dev/client"
	"countersign.dev/internal/pgserver"
)

// A registry is a database of devices, with the gateway's directory.
type registry struct {
	dir    string
	server *pgserver.Server // nil: SQLite
}

// An engine is a database in which devices can be kept.
type engine struct {
	name     string
	imports  time.Duration // that are required for a million devices
	issues   float64       // certificates a second that are required
	postgres bool
}

func engines() []engine {
	return []engine{
		{name: "SQLite", imports: 60 * time.Second, issues: 500},
		{name: "PostgreSQL", imports: 45 * time.Second, issues: 300, postgres: true},
	}
}

// findEngines looks which there are on this machine. Others are told of.
func (c *comparison) findEngines() {
	if c.engines != nil {
		return
	}
	for _, e := range engines() {
		if e.postgres {
			if _, err := postgresPrograms(); err != nil {
				c.report.Notes = append(c.report.Notes, "without PostgreSQL: "+err.Error())
				continue
			}
		}
		c.engines = append(c.engines, e)
	}
}

// postgresPrograms finds them. Debian keeps them in a directory of each version.
func postgresPrograms() (pgserver.Config, error) {
	var c pgserver.Config
	for _, program := range []struct {
		name string
		path *string
	}{{"initdb", &c.Initdb}, {"postgres", &c.Postgres}} {
		var err error
		if *program.path, err = peer.Program(program.name, "/usr/lib/postgresql/*/bin/"); err != nil {
			return c, fmt.Errorf("%w; on Debian: apt-get install postgresql", err)
		}
	}
	// As it comes, but for the memory that a server with a million devices is given.
	c.Settings = []string{"shared_buffers=256MB", "max_wal_size=4GB"}
	return c, nil
}

// open makes an empty registry.
func (c *comparison) open(ctx context.Context, e engine) (*registry, error) {
	dir, err := os.MkdirTemp(c.dir, "registry-")
	if err != nil || !e.postgres {
		return &registry{dir: dir}, err
	}
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	server, err := pgserver.Start(ctx, programs)
	return &registry{dir: dir, server: server}, err
}

func (r *registry) close() error {
	var err error
	if r.server != nil {
		err = r.server.Stop()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// file is SQLite's.
func (r *registry) file() string { return filepath.Join(r.dir, "devices.db") }

// store is how a gateway's configuration calls it.
func (r *registry) store() string {
	if r.server != nil {
		return r.server.URL()
	}
	return "sqlite"
}

// cpu is the CPU time that a gateway and the database have used.
func (r *registry) cpu(s *peer.Server) (gateway, database time.Duration, err error) {
	if gateway, err = measure.CPU(s.PIDs); err != nil || r.server == nil {
		return gateway, 0, err
	}
	pids, err := measure.Tree(r.server.PID())
	if err != nil {
		return 0, 0, err
	}
	for _, pid := range pids {
		if used, err := measure.CPU([]int{pid}); err == nil { // else it has just ended
			database += used
		}
	}
	return gateway, database, nil
}

// gateway starts one that has this registry.
func (c *comparison) gateway(ctx context.Context, w workload, r *registry) (*peer.Server, error) {
	site, err := c.site(w, c.servers[0])
	if err != nil {
		return nil, err
	}
	site.Data, site.Store, site.Enforce = r.dir, r.store(), w.enforce
	if site.Admin, err = peer.FreePort(); err != nil {
		return nil, err
	}
	return c.servers[0].Start(ctx, c.servers[0].program, site)
}

// api is where a gateway answers operators.
func api(s *peer.Server) fleet.API {
	return fleet.API{Address: s.Site.Admin, Token: filepath.Join(s.Site.Data, "api.token")}
}

// imported has a gateway import n devices, and returns how long that took.
func imported(ctx context.Context, s *peer.Server, n int) (time.Duration, error) {
	to := api(s)
	c, err := client.New(client.Config{Address: to.Address, TokenFile: to.Token, Timeout: 20 * time.Minute})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	began := time.Now()
	report, err := c.ImportDevices(ctx, fleet.List(n), client.DeviceImport{Format: "csv"})
	if err == nil && report.Created != n {
		err = fmt.Errorf("%+v: want %d devices created", report, n)
	}
	return time.Since(began), err
}

// filled is a registry with all devices. It is made once for each engine, and kept
// until the end of the run.
func (c *comparison) filled(ctx context.Context, w workload, e engine) (*registry, error) {
	if r := c.registries[e]; r != nil {
		return r, nil
	}
	r, err := c.open(ctx, e)
	if err != nil {
		return nil, err
	}
	s, err := c.gateway(ctx, workload{load: w.load}, r)
	if err == nil {
		_, err = imported(ctx, s, c.options.devices)
		err = errors.Join(err, s.Stop())
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	c.keep(e, r)
	return r, nil
}

// keep has a registry be the one that filled returns.
func (c *comparison) keep(e engine, r *registry) {
	if c.registries == nil {
		c.registries = map[engine]*registry{}
	}
	c.registries[e] = r
}

// forget gives up all registries.
func (c *comparison) forget() error {
	var errs []error
	for e, r := range c.registries {
		errs = append(errs, r.close())
		delete(c.registries, e)
	}
	return errors.Join(errs...)
}
