package sqlite

import (
	"context"
	"encoding/json"

	"countersign.dev"
	"countersign.dev/internal/store"
)

type standings struct{ *db }

const standing = `SELECT d.id, d.state,
	coalesce((SELECT max(at) FROM trail t WHERE t.device = d.id AND t.to_state IN ('revoked', 'retired') AND t.from_state <> t.to_state), 0),
	c.fingerprint, coalesce(c.state, '')
FROM (SELECT DISTINCT value FROM json_each(?)) AS asked CROSS JOIN devices d ON d.id = asked.value LEFT JOIN credentials c ON c.device = d.id
ORDER BY d.id, c.fingerprint`

func (s standings) Standings(ctx context.Context, ids []string) ([]store.Standing, error) {
	const doing = "looking up the standing of devices"
	asked, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	rows, err := s.reader.QueryContext(ctx, standing, string(asked))
	if err != nil {
		return nil, fault(doing, err)
	}
	defer rows.Close()
	var all store.Gathering
	for rows.Next() {
		var id string
		var state countersign.State
		var cutOff int64
		var fingerprint []byte
		var credential countersign.CredentialState
		if err := rows.Scan(&id, &state, &cutOff, &fingerprint, &credential); err != nil {
			return nil, fault(doing, err)
		}
		all.Add(store.Standing{ID: id, State: state, CutOff: store.FromMilli(cutOff)}, fingerprint, credential)
	}
	return all.Standings, fault(doing, rows.Err())
}
