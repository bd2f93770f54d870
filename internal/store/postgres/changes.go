package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// changes is the log. Transactions become visible in another order than they
// began in, so the cursor is a snapshot: everything that is not visible in it is
// new, however old its number. (PostgreSQL documentation, section 9.27.8.)
type changes struct {
	*db
	mu        sync.Mutex
	listening *pgx.Conn
}

const reading = "reading the change log"

func (s *changes) Now(ctx context.Context) (store.Cursor, error) {
	var c string
	err := s.pool.QueryRow(ctx, `SELECT pg_current_snapshot()::text`).Scan(&c)
	return store.Cursor(c), s.fault(reading, err)
}

func (s *changes) Since(ctx context.Context, from store.Cursor, each func(store.Change)) (store.Cursor, error) {
	lost := &store.Fault{Doing: reading, Kind: store.ErrCursorLost}
	if strings.Count(string(from), ":") != 2 || strings.Trim(string(from), "0123456789:,") != "" {
		return "", lost
	}
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return "", s.fault(reading, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	var next string
	var gone bool
	// Lost: something was pruned that the cursor had not seen, or may not have; or
	// the cursor is of a time that this database has not come to.
	err = tx.QueryRow(ctx, `SELECT pg_current_snapshot()::text,
			NOT pg_visible_in_snapshot(p.xid, $1::text::pg_snapshot)
			OR EXISTS (SELECT FROM pg_snapshot_xip($1::text::pg_snapshot) x WHERE x <= p.xid)
			OR pg_snapshot_xmax($1::text::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())
		FROM changes_pruned p`, string(from)).Scan(&next, &gone)
	var said *pgconn.PgError
	switch {
	case errors.As(err, &said) && strings.HasPrefix(said.Code, "22"): // no snapshot
		return "", lost
	case err != nil:
		return "", s.fault(reading, err)
	case gone:
		return "", lost
	}
	rows, err := tx.Query(ctx, `SELECT noun, key FROM changes WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot)
		AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot) AND pg_visible_in_snapshot(xid, pg_current_snapshot()) ORDER BY xid, seq`, string(from))
	if err != nil {
		return "", s.fault(reading, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c store.Change
		if err := rows.Scan(&c.Noun, &c.Key); err != nil {
			return "", s.fault(reading, err)
		}
		each(c)
	}
	return store.Cursor(next), s.fault(reading, rows.Err())
}

// poll is how often a node asks though nobody called: a call may get lost.
const poll = 500 * time.Millisecond

// Wait listens on a connection of its own.
func (s *changes) Wait(ctx context.Context, atMost time.Duration) error {
	short, cancel := context.WithTimeout(ctx, min(atMost, poll))
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.listen(short); err == nil {
		_, err = s.listening.WaitForNotification(short)
		if err == nil || s.listening.IsClosed() {
			return ctx.Err()
		}
	}
	<-short.Done()
	return ctx.Err()
}

func (s *changes) listen(ctx context.Context) error {
	if s.listening != nil && !s.listening.IsClosed() {
		return nil
	}
	c, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	if _, err := c.Exec(ctx, `LISTEN `+channel); err != nil {
		return errors.Join(err, c.Close(ctx))
	}
	s.listening = c
	return nil
}

func (s *changes) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.listening.Close(ctx) // the server notices by itself
	}
}

func (s *changes) Prune(ctx context.Context, before time.Time) error {
	return s.write(ctx, "pruning the change log", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `WITH gone AS (DELETE FROM changes WHERE at < $1 RETURNING xid)
			UPDATE changes_pruned p SET xid = g.xid FROM (SELECT max(xid) AS xid FROM gone) g WHERE g.xid > p.xid`, kept(before))
		return err
	})
}
