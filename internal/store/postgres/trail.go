package postgres

import (
	"context"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
)

type trail struct{ *db }

func (s trail) Of(ctx context.Context, device string, after int64, limit int) ([]countersign.TrailEntry, error) {
	doing := "reading the trail of device " + device
	rows, err := s.pool.Query(ctx, `SELECT device, number, at, who, what, why, from_state, to_state, detail, hash
		FROM trail WHERE device = $1 AND number > $2 ORDER BY number LIMIT $3`, device, after, limit)
	if err != nil {
		return nil, s.fault(doing, err)
	}
	defer rows.Close()
	var all []countersign.TrailEntry
	for rows.Next() {
		var e countersign.TrailEntry
		var hash []byte
		if err := rows.Scan(&e.Device, &e.Number, &e.At, &e.Who, &e.What, &e.Why, &e.From, &e.To, &e.Detail, &hash); err != nil {
			return nil, s.fault(doing, err)
		}
		e.At = whole(e.At)
		copy(e.Hash[:], hash)
		all = append(all, e)
	}
	return all, s.fault(doing, rows.Err())
}

type sightings struct{ *db }

// Record takes the rows in the order of their IDs, so that two nodes that saw the
// same devices do not wait for each other.
func (s sightings) Record(ctx context.Context, seen []store.Sighting) error {
	if len(seen) == 0 {
		return nil
	}
	ids, addresses := make([]string, len(seen)), make([]string, len(seen))
	times := make([]time.Time, len(seen))
	for i, v := range seen {
		ids[i], times[i], addresses[i] = v.Device, kept(v.At), v.Address
	}
	const doing = "recording when devices were seen"
	return s.write(ctx, doing, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `WITH v AS (
				SELECT id, min(at) AS first, max(at) AS last, (array_agg(address ORDER BY at DESC))[1] AS address
				FROM unnest($1::text[], $2::timestamptz[], $3::text[]) AS v (id, at, address) GROUP BY id
			), mine AS (
				SELECT d.id FROM devices d JOIN v ON v.id = d.id AND d.last_seen < v.last ORDER BY d.id FOR NO KEY UPDATE OF d
			)
			UPDATE devices d SET first_seen = CASE d.first_seen WHEN 'epoch' THEN v.first ELSE d.first_seen END, last_seen = v.last, last_address = v.address
			FROM v JOIN mine ON mine.id = v.id WHERE d.id = v.id AND d.last_seen < v.last`, ids, times, addresses)
		return err
	})
}
