package sqlite

import (
	"context"
	"strings"

	"countersign.dev/internal/store"
)

// List reads candidates from the index that fits best, state by state, in the
// order of the page.
func (s devices) List(ctx context.Context, q store.Query) (store.Page, error) {
	const doing = "listing devices"
	from, err := q.Position()
	if err != nil {
		return store.Page{}, err
	}
	walk := store.NewWalk(q)
	query, args := candidates(q, from, walk.Candidates())
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return store.Page{}, fault(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r record
		if err := r.scan(rows); err != nil {
			return store.Page{}, fault(doing, err)
		}
		if !walk.Take(r.Device) {
			break
		}
	}
	return walk.Page(), fault(doing, rows.Err())
}

// candidates makes the statement. Its parts are fixed; what is asked for goes
// into args.
func candidates(q store.Query, from store.Position, limit int) (string, []any) {
	var parts []string
	var args []any
	states := q.AnyState()
	if labels := q.LabelKeys(); q.BySeen() {
		since := max(store.Milli(from.Seen), store.Milli(q.SeenSince))
		id := from.ID
		if since > store.Milli(from.Seen) {
			id = ""
		}
		const forever = 1 << 62
		before := int64(forever)
		if !q.SeenBefore.IsZero() {
			before = store.Milli(q.SeenBefore)
		}
		for _, state := range states {
			parts = append(parts, `SELECT * FROM (SELECT id, last_seen FROM devices WHERE state = ? AND (last_seen, id) > (?, ?) AND last_seen < ? ORDER BY last_seen, id LIMIT ?)`)
			args = append(args, string(state), since, id, before, limit)
		}
	} else if len(labels) > 0 {
		for _, state := range states {
			parts = append(parts, `SELECT * FROM (SELECT device AS id, 0 AS last_seen FROM labels WHERE key = ? AND value = ? AND state = ? AND device > ? ORDER BY device LIMIT ?)`)
			args = append(args, labels[0], q.Labels[labels[0]], string(state), from.ID, limit)
		}
	} else if len(q.States) > 0 {
		for _, state := range states {
			parts = append(parts, `SELECT * FROM (SELECT id, 0 AS last_seen FROM devices WHERE state = ? AND id > ? ORDER BY id LIMIT ?)`)
			args = append(args, string(state), from.ID, limit)
		}
	} else {
		return `SELECT ` + columns + ` FROM devices d WHERE id > ? ORDER BY id LIMIT ?`, []any{from.ID, limit}
	}
	return `SELECT ` + columns + ` FROM (` + strings.Join(parts, ` UNION ALL `) + ` ORDER BY last_seen, id LIMIT ?) c CROSS JOIN devices d ON d.id = c.id ORDER BY c.last_seen, c.id`,
		append(args, limit)
}
