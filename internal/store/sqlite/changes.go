package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"countersign.dev/internal/store"
)

// changes is the log. One connection writes, so that what has a higher number
// never becomes visible before what has a lower one: the number is the cursor.
type changes struct{ *db }

const latest = `SELECT max((SELECT seq FROM changes_pruned), coalesce((SELECT max(seq) FROM changes), 0))`

func (s changes) Now(ctx context.Context) (store.Cursor, error) {
	var seq int64
	err := s.reader.QueryRowContext(ctx, latest).Scan(&seq)
	return cursor(seq), fault("reading the change log", err)
}

func cursor(seq int64) store.Cursor { return store.Cursor(strconv.FormatInt(seq, 10)) }

func (s changes) Since(ctx context.Context, from store.Cursor, each func(store.Change)) (store.Cursor, error) {
	const doing = "reading the change log"
	seq, err := strconv.ParseInt(string(from), 10, 64)
	if err != nil {
		return "", &store.Fault{Doing: doing, Kind: store.ErrCursorLost}
	}
	tx, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return "", fault(doing, err)
	}
	defer tx.Rollback()
	var pruned, last int64
	if err := tx.QueryRowContext(ctx, `SELECT (SELECT seq FROM changes_pruned), (`+latest+`)`).Scan(&pruned, &last); err != nil {
		return "", fault(doing, err)
	}
	// A place that lies ahead is of a database that was since replaced by its backup.
	if seq < pruned || seq > last {
		return "", &store.Fault{Doing: doing, Kind: store.ErrCursorLost}
	}
	rows, err := tx.QueryContext(ctx, `SELECT noun, key FROM changes WHERE seq > ? ORDER BY seq`, seq)
	if err != nil {
		return "", fault(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c store.Change
		if err := rows.Scan(&c.Noun, &c.Key); err != nil {
			return "", fault(doing, err)
		}
		each(c)
	}
	return cursor(last), fault(doing, rows.Err())
}

// poll is how often a node asks: SQLite calls nobody.
const poll = 200 * time.Millisecond

func (s changes) Wait(ctx context.Context, atMost time.Duration) error {
	t := time.NewTimer(min(atMost, poll))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s changes) Prune(ctx context.Context, before time.Time) error {
	return s.write(ctx, "pruning the change log", func(ctx context.Context, tx *sql.Tx) error {
		var last sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT coalesce((SELECT min(seq) - 1 FROM changes WHERE at >= ?), max(seq)) FROM changes`, store.Milli(before)).Scan(&last)
		if err != nil || !last.Valid {
			return err
		}
		w := newWriting(ctx, tx)
		w.exec(`DELETE FROM changes WHERE seq <= ?`, last.Int64)
		w.exec(`UPDATE changes_pruned SET seq = max(seq, ?)`, last.Int64)
		return w.err
	})
}
