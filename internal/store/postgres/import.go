package postgres

import (
	"context"
	"errors"

	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const importing = "importing devices"

func (s devices) Import(ctx context.Context, in store.Import) error {
	if !in.Atomic {
		for rows, err := range in.Rows {
			if err != nil {
				return err
			}
			var done []store.Outcome
			write := func() error {
				return s.write(ctx, importing, func(tx pgx.Tx) (err error) {
					done, err = batch(ctx, tx, rows, in)
					return err
				})
			}
			// Once more, where another node has added one of them meanwhile.
			if err = write(); errors.Is(err, store.ErrBusy) {
				err = write()
			}
			if err != nil {
				return err
			}
			in.Done(rows, done)
		}
		return nil
	}
	return s.write(ctx, importing, func(tx pgx.Tx) error {
		for rows, err := range in.Rows {
			if err != nil {
				return err
			}
			done, err := batch(ctx, tx, rows, in)
			if err != nil {
				return err
			}
			in.Done(rows, done)
		}
		return nil
	})
}

// batch writes the rows of one batch.
func batch(ctx context.Context, tx pgx.Tx, rows []store.Row, in store.Import) ([]store.Outcome, error) {
	known, err := known(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	w := &writing{}
	done := make([]store.Outcome, len(rows))
	for i, row := range rows {
		was, ok := known[row.ID]
		if !ok {
			done[i] = store.Created
			d := row.Device(in.Entry.At)
			head := w.create(d, in.Entry)
			w.devices = append(w.devices, []any{d.ID, string(d.State), object(d.Labels), d.Notes, kept(d.Created), int64(1), head[:]})
			continue
		}
		d, detail := row.Onto(was.Device)
		if detail == "" {
			done[i] = store.Unchanged
			continue
		}
		done[i] = store.Updated
		e := in.Entry
		e.Detail = detail
		w.alter(was, d, e)
	}
	err = w.send(ctx, tx)
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == "23505" && said.TableName == "devices" {
		return nil, &store.Fault{Doing: importing, Kind: store.ErrBusy, Err: err, Advice: "another node has added the same device meanwhile: import once more"}
	}
	return done, err
}

// known finds those of a batch that are in the registry, and keeps others from
// altering them.
func known(ctx context.Context, tx pgx.Tx, rows []store.Row) (map[string]record, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	found, err := tx.Query(ctx, `SELECT `+columns+` FROM devices d WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`, ids)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	known := map[string]record{}
	for found.Next() {
		var r record
		if err := r.scan(found); err != nil {
			return nil, err
		}
		known[r.ID] = r
	}
	return known, found.Err()
}
