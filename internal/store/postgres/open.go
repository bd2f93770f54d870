package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config says where the database is.
type Config struct {
	// URL is as libpq reads it: postgres://user:password@host:5432/database.
	URL string
	// Connections bounds those of this node. Default 8.
	Connections int32
}

type db struct {
	where string // without a password
	pool  *pgxpool.Pool

	notice chan struct{} // something was committed: tell the others
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// Open connects to the database, and brings its tables up to date.
func Open(ctx context.Context, cfg Config) (*store.Store, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		// What pgx says of a URL that it cannot read may have the password in it.
		return nil, &store.Fault{Doing: "opening PostgreSQL", Kind: store.ErrRefused, Err: errors.New("the URL cannot be read"),
			Advice: "write it as postgres://user@host:5432/database, letters that mean something in URLs as %XX"}
	}
	pc.MaxConns = 8
	if cfg.Connections > 0 {
		pc.MaxConns = cfg.Connections
	}
	for name, value := range map[string]string{
		"application_name": "countersign",
		// Whoever waits for another's row is told in the end.
		"lock_timeout": "10s",
		// A node that vanished does not keep its locks.
		"idle_in_transaction_session_timeout": "60s",
	} {
		if _, set := pc.ConnConfig.RuntimeParams[name]; !set {
			pc.ConnConfig.RuntimeParams[name] = value
		}
	}
	c := pc.ConnConfig
	d := &db{where: fmt.Sprintf("postgres://%s@%s:%d/%s", c.User, c.Host, c.Port, c.Database), notice: make(chan struct{}, 1)}
	if d.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, d.fault("opening "+d.where, err)
	}
	if err := d.migrate(ctx); err != nil {
		d.pool.Close()
		return nil, err
	}
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.done.Go(func() { d.notify(inner) })
	log := &changes{db: d}
	return &store.Store{
		Devices:     devices{d},
		Credentials: credentials{d},
		Enrollments: enrollments{d},
		Sightings:   sightings{d},
		Trail:       trail{d},
		Changes:     log,
		Standings:   standings{d},
		Ledger:      func(authority string) ledger.Ledger { return book{d, authority} },
		Close: func() error {
			d.stop()
			d.done.Wait()
			log.hangUp()
			d.pool.Close()
			return nil
		},
	}, nil
}

// migrations are run by one node at a time.
const migrationLock = 0x636f756e746572 // "counter"

func (d *db) migrate(ctx context.Context) error {
	doing := "opening " + d.where
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(d.pool)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return d.fault(doing, err)
	}
	turn, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 300))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()), goose.WithSessionLocker(turn))
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return d.fault(doing, err)
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return d.fault(doing, err)
	}
	known := p.ListSources()
	if latest := known[len(known)-1].Version; version > latest {
		return &store.Fault{Doing: doing, Kind: store.ErrTooNew, Err: fmt.Errorf("its tables are of version %d, this program knows %d", version, latest),
			Advice: "a newer node uses this database: start that version here too"}
	}
	return nil
}

// write runs do in one transaction, and tells the other nodes when it is kept.
func (d *db) write(ctx context.Context, doing string, do func(tx pgx.Tx) error) error {
	tx, err := d.pool.Begin(ctx)
	if err != nil {
		return d.fault(doing, err)
	}
	if err := do(tx); err != nil {
		// A connection that is gone has undone everything by itself.
		_ = tx.Rollback(context.WithoutCancel(ctx))
		return d.fault(doing, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return d.uncertain(doing, err)
	}
	select {
	case d.notice <- struct{}{}:
	default:
	}
	return nil
}

// channel is what nodes listen at.
const channel = "countersign_changes"

// notify tells the other nodes to ask. It is done beside the transactions: NOTIFY
// within them has their commits stand in line. What is lost here is polled.
func (d *db) notify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.notice:
			_, _ = d.pool.Exec(ctx, `SELECT pg_notify($1, '')`, channel)
		}
	}
}
