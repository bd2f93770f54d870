package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// fault says what an error of PostgreSQL means. What is explained already, or is
// none of PostgreSQL's, stays as it is.
func (d *db) fault(doing string, err error) error {
	var explained *store.Fault
	if err == nil || errors.As(err, &explained) {
		return err
	}
	f := &store.Fault{Doing: doing, Err: err}
	var said *pgconn.PgError
	var connecting *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &said):
		d.explain(f, said.Code)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &connecting), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "conn closed"):
		f.Kind, f.Advice = store.ErrAway, "look whether "+d.where+" is running and lets this node in; nothing was kept"
	default:
		return err
	}
	return f
}

// uncertain is fault for a commit: when the connection broke, nobody knows.
func (d *db) uncertain(doing string, err error) error {
	err = d.fault(doing, err)
	var f *store.Fault
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return &store.Fault{Doing: doing, Kind: store.ErrRefused, Err: err, Advice: "nothing was kept"}
	}
	if errors.As(err, &f) && errors.Is(f.Kind, store.ErrAway) {
		f.Advice = "the connection broke while it was being kept: look whether it was before doing it again"
	}
	return err
}

// explain reads an SQLSTATE (PostgreSQL documentation, appendix A).
func (d *db) explain(f *store.Fault, code string) {
	switch class := code[:min(2, len(code))]; {
	case code == "53100":
		f.Kind, f.Advice = store.ErrFull, "make room on the disk of "+d.where+" and try again; nothing was kept"
	case code == "53300":
		f.Kind, f.Advice = store.ErrAway, "the server has no connection left: raise max_connections of PostgreSQL"
	case code == "57014":
		f.Kind, f.Advice = store.ErrBusy, "it was canceled on the server: look at statement_timeout; nothing was kept"
	case code == "55P03", class == "40":
		f.Kind, f.Advice = store.ErrBusy, "another transaction holds the same rows: try again; pg_stat_activity shows whose it is"
	case class == "08", class == "57", class == "53":
		f.Kind, f.Advice = store.ErrAway, "look at the log of PostgreSQL, and try again when it is up; nothing was kept"
	case class == "28":
		f.Kind, f.Advice = store.ErrRefused, "look at the user and password of node.store, and at pg_hba.conf"
	case code == "3D000":
		f.Kind, f.Advice = store.ErrRefused, "create the database first: createdb"
	case code == "42501":
		f.Kind, f.Advice = store.ErrRefused, "the user of node.store must own the database's tables: GRANT CREATE ON SCHEMA public TO it"
	case code == "25006":
		f.Kind, f.Advice = store.ErrRefused, "the server is a standby: name the primary, or all of them with target_session_attrs=read-write"
	case class == "23", class == "22":
		f.Kind = store.ErrRefused
	default:
		f.Kind, f.Advice = store.ErrRefused, "look at the log of PostgreSQL"
	}
}
