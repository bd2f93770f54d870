package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/store"
)

// A book is the ledger of one authority.
type book struct {
	*db
	authority string
}

// Append implements ledger.Ledger.
func (b book) Append(ctx context.Context, entries ...ledger.Entry) error {
	entries, err := ledger.Prepare(entries)
	if err != nil || len(entries) == 0 {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.write(ctx, "writing the ledger of authority "+b.authority, func(ctx context.Context, tx *sql.Tx) error {
		w := newWriting(ctx, tx)
		for _, e := range entries {
			do := map[ledger.Event]func(context.Context, *sql.Tx, *writing, ledger.Entry) error{
				ledger.Issued: b.issue, ledger.Revoked: b.revoke, ledger.Listed: b.list,
			}[e.Event]
			if err := do(ctx, tx, w, e); err != nil {
				return err
			}
		}
		return w.flush()
	})
}

// known is what is on record of a serial number; nil for nothing.
func (b book) known(ctx context.Context, tx *sql.Tx, serial string) (*ledger.Certificate, error) {
	c, err := scanCertificate(tx.QueryRowContext(ctx, `SELECT `+ledgerColumns+`, NULL FROM ledger WHERE authority = ? AND serial = ?`, b.authority, serial))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &c, err
}

func (b book) issue(ctx context.Context, tx *sql.Tx, w *writing, e ledger.Entry) error {
	known, err := b.known(ctx, tx, e.Serial)
	if err != nil {
		return err
	}
	if err := e.Fits(known, 0); err != nil {
		return err
	}
	var key []byte
	if e.Key != (ledger.Key{}) {
		key = e.Key[:]
		var h ledger.Holder
		var names []byte
		err := tx.QueryRowContext(ctx, `SELECT subject, names, compromised FROM ledger_keys WHERE authority = ? AND key = ?`, b.authority, key).Scan(&h.Subject, &names, &h.Compromised)
		switch h.Names = string(names); {
		case errors.Is(err, sql.ErrNoRows):
			h := e.Holder()
			w.exec(`INSERT INTO ledger_keys (authority, key, subject, names) VALUES (?, ?, ?, ?)`, b.authority, key, h.Subject, []byte(h.Names))
		case err != nil:
			return err
		default:
			if err := e.Suits(&h); err != nil {
				return err
			}
		}
	}
	w.exec(`INSERT INTO ledger (authority, serial, issuer, subject, profile, issued_at, not_after, key, certificate) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.authority, e.Serial, e.Issuer, e.Subject, e.Profile, seconds(e.At), seconds(e.NotAfter), key, e.Certificate)
	return w.err
}

func (b book) revoke(ctx context.Context, tx *sql.Tx, w *writing, e ledger.Entry) error {
	known, err := b.known(ctx, tx, e.Serial)
	if err != nil {
		return err
	}
	if err := e.Fits(known, 0); err != nil {
		return err
	}
	if known == nil {
		w.exec(`INSERT INTO ledger (authority, serial, issuer, subject, profile, issued_at, not_after) VALUES (?, ?, ?, ?, ?, 0, ?)`,
			b.authority, e.Serial, e.Issuer, e.Subject, e.Profile, seconds(e.NotAfter))
	}
	w.exec(`UPDATE ledger SET revoked_at = ?3, reason = ?4, revocation = 1 + (SELECT coalesce(max(revocation), 0) FROM ledger WHERE authority = ?1)
		WHERE authority = ?1 AND serial = ?2`, b.authority, e.Serial, seconds(e.At), e.Reason)
	if e.Compromises() {
		w.exec(`UPDATE ledger_keys SET compromised = 1 WHERE authority = ?1 AND key = (SELECT key FROM ledger WHERE authority = ?1 AND serial = ?2)`, b.authority, e.Serial)
	}
	return w.err
}

func (b book) list(ctx context.Context, tx *sql.Tx, w *writing, e ledger.Entry) error {
	last, err := b.latest(tx.QueryRowContext(ctx, ledgerList, b.authority))
	if err != nil {
		return err
	}
	if err := e.Fits(nil, last.Number); err != nil {
		return err
	}
	w.exec(`INSERT INTO ledger_lists (authority, number, at, next_update) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (authority) DO UPDATE SET number = ?2, at = ?3, next_update = ?4`, b.authority, e.Number, seconds(e.At), seconds(e.NextUpdate))
	return w.err
}

const (
	ledgerColumns = `serial, issuer, subject, profile, issued_at, not_after, revoked_at, reason`
	ledgerList    = `SELECT number, at, next_update FROM ledger_lists WHERE authority = ?`
)

func scanCertificate(from interface{ Scan(...any) error }) (ledger.Certificate, error) {
	var c ledger.Certificate
	var issued, until, revoked int64
	err := from.Scan(&c.Serial, &c.Issuer, &c.Subject, &c.Profile, &issued, &until, &revoked, &c.Reason, &c.DER)
	c.IssuedAt, c.NotAfter, c.RevokedAt = instant(issued), instant(until), instant(revoked)
	return c, err
}

// Find implements ledger.Ledger.
func (b book) Find(ctx context.Context, serial string) (ledger.Certificate, bool, error) {
	c, err := scanCertificate(b.reader.QueryRowContext(ctx, `SELECT `+ledgerColumns+`, certificate FROM ledger WHERE authority = ? AND serial = ?`, b.authority, serial))
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Certificate{}, false, nil
	}
	return c, err == nil, fault("looking up a certificate of authority "+b.authority, err)
}

// Certificates implements ledger.Ledger.
func (b book) Certificates(ctx context.Context) iter.Seq2[ledger.Certificate, error] {
	return b.behind(ctx, `SELECT `+ledgerColumns+`, NULL, seq FROM ledger WHERE authority = ? AND seq > ? ORDER BY seq LIMIT ?`)
}

// Revoked implements ledger.Ledger.
func (b book) Revoked(ctx context.Context) ([]ledger.Certificate, error) {
	return store.Collect(b.behind(ctx, `SELECT `+ledgerColumns+`, NULL, revocation FROM ledger WHERE authority = ? AND revocation > ? ORDER BY revocation LIMIT ?`))
}

// behind yields what query selects, which tells places to go on behind.
func (b book) behind(ctx context.Context, query string) iter.Seq2[ledger.Certificate, error] {
	return store.Pages(func(after int64) ([]ledger.Certificate, int64, error) { return b.some(ctx, query, after) })
}

// some reads a page behind after, and returns where the next one begins.
func (b book) some(ctx context.Context, query string, after int64) (all []ledger.Certificate, last int64, err error) {
	doing := "reading the ledger of authority " + b.authority
	rows, err := b.reader.QueryContext(ctx, query, b.authority, after, store.PageSize)
	if err != nil {
		return nil, 0, fault(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanCertificate(placed{rows, &last})
		if err != nil {
			return nil, 0, fault(doing, err)
		}
		all = append(all, c)
	}
	return all, last, fault(doing, rows.Err())
}

// placed scans one column more.
type placed struct {
	*sql.Rows
	at *int64
}

func (p placed) Scan(into ...any) error { return p.Rows.Scan(append(into, p.at)...) }

// List implements ledger.Ledger.
func (b book) List(ctx context.Context) (ledger.Entry, error) {
	e, err := b.latest(b.reader.QueryRowContext(ctx, ledgerList, b.authority))
	return e, fault("looking up the latest list of authority "+b.authority, err)
}

func (b book) latest(row *sql.Row) (ledger.Entry, error) {
	e := ledger.Entry{Event: ledger.Listed}
	var at, next int64
	err := row.Scan(&e.Number, &at, &next)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Entry{}, nil
	}
	e.At, e.NextUpdate = instant(at), instant(next)
	return e, err
}

// seconds is a time as it is kept, 0 for none.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func instant(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}
