package postgres

import (
	"context"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
)

type standings struct{ *db }

const standing = `SELECT d.id, d.state,
	(SELECT max(at) FROM trail t WHERE t.device = d.id AND t.to_state IN ('revoked', 'retired') AND t.from_state <> t.to_state),
	c.fingerprint, coalesce(c.state, '')
FROM devices d LEFT JOIN credentials c ON c.device = d.id
WHERE d.id = ANY($1) ORDER BY d.id, c.fingerprint`

func (s standings) Standings(ctx context.Context, ids []string) ([]store.Standing, error) {
	const doing = "looking up the standing of devices"
	rows, err := s.pool.Query(ctx, standing, ids)
	if err != nil {
		return nil, s.fault(doing, err)
	}
	defer rows.Close()
	var all store.Gathering
	for rows.Next() {
		var id string
		var state countersign.State
		var cutOff *time.Time
		var fingerprint []byte
		var credential countersign.CredentialState
		if err := rows.Scan(&id, &state, &cutOff, &fingerprint, &credential); err != nil {
			return nil, s.fault(doing, err)
		}
		d := store.Standing{ID: id, State: state}
		if cutOff != nil {
			d.CutOff = whole(*cutOff)
		}
		all.Add(d, fingerprint, credential)
	}
	return all.Standings, s.fault(doing, rows.Err())
}
