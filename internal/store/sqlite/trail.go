package sqlite

import (
	"context"
	"database/sql"

	"countersign.dev"
	"countersign.dev/internal/store"
)

type trail struct{ *db }

func (s trail) Of(ctx context.Context, device string, after int64, limit int) ([]countersign.TrailEntry, error) {
	doing := "reading the trail of device " + device
	rows, err := s.reader.QueryContext(ctx, `SELECT device, number, at, who, what, why, from_state, to_state, detail, hash
		FROM trail WHERE device = ? AND number > ? ORDER BY number LIMIT ?`, device, after, limit)
	if err != nil {
		return nil, fault(doing, err)
	}
	defer rows.Close()
	var all []countersign.TrailEntry
	for rows.Next() {
		var e countersign.TrailEntry
		var at int64
		var hash []byte
		if err := rows.Scan(&e.Device, &e.Number, &at, &e.Who, &e.What, &e.Why, &e.From, &e.To, &e.Detail, &hash); err != nil {
			return nil, fault(doing, err)
		}
		e.At = store.FromMilli(at)
		copy(e.Hash[:], hash)
		all = append(all, e)
	}
	return all, fault(doing, rows.Err())
}

type sightings struct{ *db }

func (s sightings) Record(ctx context.Context, seen []store.Sighting) error {
	return s.write(ctx, "recording when devices were seen", func(ctx context.Context, tx *sql.Tx) error {
		w := newWriting(ctx, tx)
		for _, v := range seen {
			at := store.Milli(v.At)
			w.exec(`UPDATE devices SET first_seen = CASE first_seen WHEN 0 THEN ?1 ELSE first_seen END, last_seen = ?1, last_address = ?2
				WHERE id = ?3 AND last_seen < ?1`, at, v.Address, v.Device)
		}
		return w.err
	})
}
