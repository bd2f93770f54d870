package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"countersign.dev/internal/store"
)

func (s devices) Import(ctx context.Context, in store.Import) error {
	const doing = "importing devices"
	if !in.Atomic {
		for rows, err := range in.Rows {
			if err != nil {
				return err
			}
			var done []store.Outcome
			err = s.writeAlone(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
				done, err = newWriting(ctx, tx).batch(rows, in)
				return err
			})
			if err != nil {
				return err
			}
			in.Done(rows, done)
		}
		return nil
	}
	return s.writeAlone(ctx, doing, func(inner context.Context, tx *sql.Tx) error {
		w := newWriting(inner, tx)
		for rows, err := range in.Rows {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			done, err := w.batch(rows, in)
			if err != nil {
				return err
			}
			in.Done(rows, done)
		}
		return nil
	})
}

// batch writes the rows of one batch.
func (w *writing) batch(rows []store.Row, in store.Import) ([]store.Outcome, error) {
	known, err := w.known(rows)
	if err != nil {
		return nil, err
	}
	done := make([]store.Outcome, len(rows))
	for i, row := range rows {
		was, ok := known[row.ID]
		if !ok {
			done[i] = store.Created
			w.create(row.Device(in.Entry.At), in.Entry)
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
	return done, w.flush()
}

// known finds those of a batch that are in the registry.
func (w *writing) known(rows []store.Row) (map[string]record, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	found, err := w.tx.QueryContext(w.ctx, `SELECT `+columns+` FROM json_each(?) j CROSS JOIN devices d ON d.id = j.value`, string(list))
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
