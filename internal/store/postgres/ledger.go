package postgres

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

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
	return b.write(ctx, "writing the ledger of authority "+b.authority, func(tx pgx.Tx) error {
		for _, e := range entries {
			do := map[ledger.Event]func(context.Context, pgx.Tx, ledger.Entry) error{
				ledger.Issued: b.issue, ledger.Revoked: b.revoke, ledger.Listed: b.list,
			}[e.Event]
			if err := do(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// issue inserts: whoever comes second with a serial number, or a key, waits here for
// the first.
func (b book) issue(ctx context.Context, tx pgx.Tx, e ledger.Entry) error {
	var key []byte
	batch := &pgx.Batch{}
	if e.Key != (ledger.Key{}) {
		key = e.Key[:]
	}
	batch.Queue(`INSERT INTO ledger (authority, serial, issuer, subject, profile, issued_at, not_after, key, certificate) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (authority, serial) DO NOTHING`, b.authority, e.Serial, e.Issuer, e.Subject, e.Profile, e.At, some(e.NotAfter), key, e.Certificate)
	if key != nil {
		h := e.Holder()
		batch.Queue(`INSERT INTO ledger_keys (authority, key, subject, names) VALUES ($1, $2, $3, $4)
			ON CONFLICT (authority, key) DO UPDATE SET subject = ledger_keys.subject
			RETURNING subject, names, compromised, xmax = 0`, b.authority, key, h.Subject, []byte(h.Names))
	}
	results := tx.SendBatch(ctx, batch)
	defer results.Close()
	tag, err := results.Exec()
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return e.Fits(&ledger.Certificate{Serial: e.Serial}, 0)
	}
	if key == nil {
		return nil
	}
	var h ledger.Holder
	var names []byte
	var fresh bool
	if err := results.QueryRow().Scan(&h.Subject, &names, &h.Compromised, &fresh); err != nil || fresh {
		return err
	}
	h.Names = string(names)
	return e.Suits(&h)
}

func (b book) revoke(ctx context.Context, tx pgx.Tx, e ledger.Entry) error {
	// Where nothing is on record of it: the certificate was shown to somebody.
	_, err := tx.Exec(ctx, `INSERT INTO ledger (authority, serial, issuer, subject, profile, not_after) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (authority, serial) DO NOTHING`, b.authority, e.Serial, e.Issuer, e.Subject, e.Profile, some(e.NotAfter))
	if err != nil {
		return err
	}
	var key []byte
	err = tx.QueryRow(ctx, `UPDATE ledger SET revoked_at = $3, reason = $4, revocation = nextval('ledger_revocations')
		WHERE authority = $1 AND serial = $2 AND revoked_at IS NULL RETURNING key`, b.authority, e.Serial, e.At, e.Reason).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		return e.Fits(&ledger.Certificate{Serial: e.Serial, RevokedAt: e.At}, 0)
	}
	if err == nil && key != nil && e.Compromises() {
		_, err = tx.Exec(ctx, `UPDATE ledger_keys SET compromised = true WHERE authority = $1 AND key = $2`, b.authority, key)
	}
	return err
}

func (b book) list(ctx context.Context, tx pgx.Tx, e ledger.Entry) error {
	tag, err := tx.Exec(ctx, `INSERT INTO ledger_lists (authority, number, at, next_update) VALUES ($1, $2, $3, $4)
		ON CONFLICT (authority) DO UPDATE SET number = $2, at = $3, next_update = $4 WHERE ledger_lists.number < $2`, b.authority, e.Number, e.At, some(e.NextUpdate))
	if err != nil || tag.RowsAffected() > 0 {
		return err
	}
	last, err := latest(tx.QueryRow(ctx, ledgerList, b.authority))
	if err != nil {
		return err
	}
	return e.Fits(nil, last.Number)
}

const (
	ledgerColumns = `serial, issuer, subject, profile, issued_at, not_after, revoked_at, reason`
	ledgerList    = `SELECT number, at, next_update FROM ledger_lists WHERE authority = $1`
)

func scanCertificate(from pgx.Row, more ...any) (ledger.Certificate, error) {
	var c ledger.Certificate
	var issued, until, revoked *time.Time
	err := from.Scan(append([]any{&c.Serial, &c.Issuer, &c.Subject, &c.Profile, &issued, &until, &revoked, &c.Reason}, more...)...)
	c.IssuedAt, c.NotAfter, c.RevokedAt = instant(issued), instant(until), instant(revoked)
	return c, err
}

// Find implements ledger.Ledger.
func (b book) Find(ctx context.Context, serial string) (ledger.Certificate, bool, error) {
	var der []byte
	c, err := scanCertificate(b.pool.QueryRow(ctx, `SELECT `+ledgerColumns+`, certificate FROM ledger WHERE authority = $1 AND serial = $2`, b.authority, serial), &der)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Certificate{}, false, nil
	}
	c.DER = der
	return c, err == nil, b.fault("looking up a certificate of authority "+b.authority, err)
}

// Certificates implements ledger.Ledger.
func (b book) Certificates(ctx context.Context) iter.Seq2[ledger.Certificate, error] {
	return b.behind(ctx, `SELECT `+ledgerColumns+`, seq FROM ledger WHERE authority = $1 AND seq > $2 ORDER BY seq LIMIT $3`)
}

// Revoked implements ledger.Ledger.
func (b book) Revoked(ctx context.Context) ([]ledger.Certificate, error) {
	return store.Collect(b.behind(ctx, `SELECT `+ledgerColumns+`, revocation FROM ledger WHERE authority = $1 AND revocation > $2 ORDER BY revocation LIMIT $3`))
}

// behind yields what query selects, which tells places to go on behind.
func (b book) behind(ctx context.Context, query string) iter.Seq2[ledger.Certificate, error] {
	return store.Pages(func(after int64) ([]ledger.Certificate, int64, error) { return b.read(ctx, query, after) })
}

// read reads a page behind after, and returns where the next one begins.
func (b book) read(ctx context.Context, query string, after int64) (all []ledger.Certificate, last int64, err error) {
	doing := "reading the ledger of authority " + b.authority
	rows, err := b.pool.Query(ctx, query, b.authority, after, store.PageSize)
	if err != nil {
		return nil, 0, b.fault(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanCertificate(rows, &last)
		if err != nil {
			return nil, 0, b.fault(doing, err)
		}
		all = append(all, c)
	}
	return all, last, b.fault(doing, rows.Err())
}

// List implements ledger.Ledger.
func (b book) List(ctx context.Context) (ledger.Entry, error) {
	e, err := latest(b.pool.QueryRow(ctx, ledgerList, b.authority))
	return e, b.fault("looking up the latest list of authority "+b.authority, err)
}

func latest(row pgx.Row) (ledger.Entry, error) {
	e := ledger.Entry{Event: ledger.Listed}
	var next *time.Time
	err := row.Scan(&e.Number, &e.At, &next)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Entry{}, nil
	}
	e.At, e.NextUpdate = e.At.UTC(), instant(next)
	return e, err
}

// some is a time as it is kept, nil for none.
func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
