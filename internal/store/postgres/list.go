package postgres

import (
	"context"
	"fmt"
	"strconv"
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
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return store.Page{}, s.fault(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r record
		if err := r.scan(rows); err != nil {
			return store.Page{}, s.fault(doing, err)
		}
		if !walk.Take(r.Device) {
			break
		}
	}
	rows.Close()
	return walk.Page(), s.fault(doing, rows.Err())
}

// candidates makes the statement. Its parts are fixed, and the limit is a number,
// so that the planner knows how few rows there will be; what is asked for goes
// into args.
func candidates(q store.Query, from store.Position, limit int) (string, []any) {
	var parts []string
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	states := q.AnyState()
	if labels := q.LabelKeys(); q.BySeen() {
		since, id := from.Seen, from.ID
		if q.SeenSince.After(since) {
			since, id = q.SeenSince, ""
		}
		place, before := "("+arg(kept(since))+"::timestamptz, "+arg(id)+"::text)", ""
		if !q.SeenBefore.IsZero() {
			before = " AND last_seen < " + arg(kept(q.SeenBefore))
		}
		for _, state := range states {
			parts = append(parts, fmt.Sprintf(`(SELECT id, last_seen AS seen FROM devices WHERE state = %s AND (last_seen, id) > %s%s ORDER BY last_seen, id LIMIT %d)`,
				arg(string(state)), place, before, limit))
		}
	} else if len(labels) > 0 {
		key, value, id := arg(labels[0]), arg(q.Labels[labels[0]]), arg(from.ID)
		for _, state := range states {
			parts = append(parts, fmt.Sprintf(`(SELECT device AS id, 0 AS seen FROM labels WHERE key = %s AND value = %s AND state = %s AND device > %s ORDER BY device LIMIT %d)`,
				key, value, arg(string(state)), id, limit))
		}
	} else if len(q.States) > 0 {
		id := arg(from.ID)
		for _, state := range states {
			parts = append(parts, fmt.Sprintf(`(SELECT id, 0 AS seen FROM devices WHERE state = %s AND id > %s ORDER BY id LIMIT %d)`,
				arg(string(state)), id, limit))
		}
	} else {
		return fmt.Sprintf(`SELECT %s FROM devices d WHERE id > $1 ORDER BY id LIMIT %d`, columns, limit), []any{from.ID}
	}
	return fmt.Sprintf(`SELECT %s FROM (SELECT * FROM (%s) u ORDER BY seen, id LIMIT %d) c JOIN devices d ON d.id = c.id ORDER BY c.seen, c.id`,
		columns, strings.Join(parts, ` UNION ALL `), limit), args
}
