package sqlite

import (
	"context"
	"errors"
	"strings"

	"countersign.dev/internal/store"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// fault says what an error of SQLite means. What is explained already, or is none
// of SQLite's, stays as it is.
func fault(doing string, err error) error {
	var explained *store.Fault
	var cause *sqlite.Error
	switch {
	case err == nil, errors.As(err, &explained):
		return err
	case !errors.As(err, &cause):
		return err
	}
	f := &store.Fault{Doing: doing, Err: err}
	switch cause.Code() & 0xff {
	case lib.SQLITE_INTERRUPT:
		f.Kind, f.Advice = context.Canceled, "nothing was kept"
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		f.Kind, f.Advice = store.ErrBusy, "one node alone may use the file: stop the other one, or share a PostgreSQL with it (node.store); a backup is made with .backup of sqlite3, not under a lock"
	case lib.SQLITE_FULL:
		f.Kind, f.Advice = store.ErrFull, "make room on the disk of node.data_dir and try again; nothing was kept"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		f.Kind, f.Advice = store.ErrRefused, "let the program write the file, and the files -wal and -shm beside it"
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		f.Kind, f.Advice = store.ErrRefused, "the file is damaged, or is no SQLite database: put it aside and restore the latest backup"
	case lib.SQLITE_CANTOPEN, lib.SQLITE_IOERR:
		f.Kind, f.Advice = store.ErrAway, "look at the disk of node.data_dir, and at who owns the file"
	case lib.SQLITE_CONSTRAINT:
		f.Kind = store.ErrRefused
	default:
		f.Kind, f.Advice = store.ErrRefused, "this is a fault of the program: please report it"
	}
	return f
}

// over reports whether SQLite has ended the transaction by itself.
func over(err error) bool { return strings.Contains(err.Error(), "no transaction is active") }
