package postgres

import (
	"context"
	"errors"

	"countersign.dev"
	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
)

type credentials struct{ *db }

func (s credentials) Add(ctx context.Context, c countersign.Credential, e countersign.TrailEntry) error {
	doing := "adding a credential of device " + c.Device
	return s.write(ctx, doing, func(tx pgx.Tx) error {
		was, err := find(ctx, tx, doing, c.Device)
		if err != nil {
			return err
		}
		if err := addCredential(ctx, tx, doing, c); err != nil {
			return err
		}
		w := &writing{}
		w.alter(was, was.Device, e)
		return w.send(ctx, tx)
	})
}

func addCredential(ctx context.Context, tx pgx.Tx, doing string, c countersign.Credential) error {
	tag, err := tx.Exec(ctx, `INSERT INTO credentials (fingerprint, device, serial, issuer, not_before, not_after, state, added)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		c.Fingerprint[:], c.Device, c.Serial, c.Issuer, kept(c.NotBefore), kept(c.NotAfter), string(c.State), kept(c.Added))
	if err == nil && tag.RowsAffected() == 0 {
		err = &store.Fault{Doing: doing, Kind: store.ErrExists}
	}
	return err
}

const credentialColumns = `fingerprint, device, serial, issuer, not_before, not_after, state, added`

func scanCredential(from pgx.Row) (countersign.Credential, error) {
	var c countersign.Credential
	var fingerprint []byte
	err := from.Scan(&fingerprint, &c.Device, &c.Serial, &c.Issuer, &c.NotBefore, &c.NotAfter, &c.State, &c.Added)
	copy(c.Fingerprint[:], fingerprint)
	c.NotBefore, c.NotAfter, c.Added = whole(c.NotBefore), whole(c.NotAfter), whole(c.Added)
	return c, err
}

func (s credentials) Of(ctx context.Context, device string) ([]countersign.Credential, error) {
	doing := "reading the credentials of device " + device
	rows, err := s.pool.Query(ctx, `SELECT `+credentialColumns+` FROM credentials WHERE device = $1 ORDER BY added DESC, fingerprint`, device)
	if err != nil {
		return nil, s.fault(doing, err)
	}
	defer rows.Close()
	var all []countersign.Credential
	for rows.Next() {
		c, err := scanCredential(rows)
		if err != nil {
			return nil, s.fault(doing, err)
		}
		all = append(all, c)
	}
	return all, s.fault(doing, rows.Err())
}

func (s credentials) Credential(ctx context.Context, fingerprint [32]byte) (countersign.Credential, error) {
	const doing = "looking up a credential"
	c, err := scanCredential(s.pool.QueryRow(ctx, `SELECT `+credentialColumns+` FROM credentials WHERE fingerprint = $1`, fingerprint[:]))
	if errors.Is(err, pgx.ErrNoRows) {
		return countersign.Credential{}, &store.Fault{Doing: doing, Kind: store.ErrUnknown}
	}
	return c, s.fault(doing, err)
}
