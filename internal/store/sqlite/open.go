package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/store"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config says where the database is.
type Config struct {
	// Path of the file. It is made if it is not there, with its directory, for the
	// owner alone.
	Path string
	// BusyTimeout is how long to wait for another process that writes. Default 10s.
	BusyTimeout time.Duration
	// MaxPages bounds the file; 0 is no bound.
	MaxPages int
}

// readers bounds the connections that read.
const readers = 8

type db struct {
	path   string
	writer *sql.DB // one connection
	reader *sql.DB
	queue
}

// Open opens the database, and brings its tables up to date.
func Open(ctx context.Context, cfg Config) (*store.Store, error) {
	if cfg.BusyTimeout == 0 {
		cfg.BusyTimeout = 10 * time.Second
	}
	d := &db{path: cfg.Path, queue: queue{leads: make(chan struct{}, 1)}}
	if err := d.open(ctx, cfg); err != nil {
		d.close()
		return nil, err
	}
	return &store.Store{
		Devices:     devices{d},
		Credentials: credentials{d},
		Enrollments: enrollments{d},
		Sightings:   sightings{d},
		Trail:       trail{d},
		Changes:     changes{d},
		Standings:   standings{d},
		Ledger:      func(authority string) ledger.Ledger { return book{d, authority} },
		Close:       d.close,
	}, nil
}

func (d *db) open(ctx context.Context, cfg Config) error {
	doing := "opening " + cfg.Path
	err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700)
	if err == nil {
		err = private(cfg.Path)
	}
	if err != nil {
		return &store.Fault{Doing: doing, Kind: store.ErrAway, Err: err,
			Advice: "give the program a directory of its own that it may write to: node.data_dir"}
	}
	// Every commit is on disk before it is acknowledged: synchronous FULL.
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", cfg.BusyTimeout.Milliseconds()),
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "recursive_triggers(ON)",
		"temp_store(FILE)", "journal_size_limit(67108864)",
	}
	if cfg.MaxPages > 0 {
		pragmas = append(pragmas, fmt.Sprintf("max_page_count(%d)", cfg.MaxPages))
	}
	if d.writer, err = pool(cfg.Path, 1, "immediate", append(pragmas, "cache_size(-65536)")); err != nil {
		return fault(doing, err)
	}
	if err := migrate(ctx, doing, d.writer); err != nil {
		return err
	}
	if d.reader, err = pool(cfg.Path, readers, "deferred", append(pragmas, "cache_size(-8192)", "query_only(ON)")); err != nil {
		return fault(doing, err)
	}
	return nil
}

// private makes the file, so that SQLite gives its mode to the files beside it.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func pool(path string, size int, lock string, pragmas []string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{"_pragma": pragmas, "_txlock": {lock}, "_dqs": {"0"}}.Encode()}
	if !filepath.IsAbs(path) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		dsn.Path = abs
	}
	var c driver.Connector
	c, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// migrate brings the tables up to date. Two processes that start at once may both
// try; the one that comes second finds it done when it looks again.
func migrate(ctx context.Context, doing string, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	known := p.ListSources()
	for try := 0; ; try++ {
		_, err = p.Up(ctx)
		if err == nil || try == 2 || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fault(doing, err)
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return fault(doing, err)
	}
	if latest := known[len(known)-1].Version; version > latest {
		return &store.Fault{Doing: doing, Kind: store.ErrTooNew, Err: fmt.Errorf("its tables are of version %d, this program knows %d", version, latest),
			Advice: "start the newer program, or restore the backup made before it was first started"}
	}
	return nil
}

func (d *db) close() error {
	var errs []error
	for _, p := range []*sql.DB{d.reader, d.writer} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// rollback hides that a transaction is over already, as after a full disk.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) && !over(err) {
		return fault("undoing", err)
	}
	return nil
}

// there says when the file is not there any more: SQLite goes on writing into
// what has no name.
func (d *db) there(doing string) error {
	if _, err := os.Stat(d.path); err != nil {
		return &store.Fault{Doing: doing, Kind: store.ErrAway, Err: err,
			Advice: "put the file back, with the files -wal and -shm beside it, and start the program anew"}
	}
	return nil
}
