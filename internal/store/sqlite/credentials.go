package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"countersign.dev"
	"countersign.dev/internal/store"
)

type credentials struct{ *db }

func (s credentials) Add(ctx context.Context, c countersign.Credential, e countersign.TrailEntry) error {
	doing := "adding a credential of device " + c.Device
	return s.write(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
		was, err := find(ctx, tx, doing, c.Device)
		if err != nil {
			return err
		}
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM credentials WHERE fingerprint = ?`, c.Fingerprint[:]).Scan(&known); err != nil {
			return err
		}
		if known > 0 {
			return &store.Fault{Doing: doing, Kind: store.ErrExists}
		}
		w := newWriting(ctx, tx)
		w.credential(c)
		w.alter(was, was.Device, e)
		return w.flush()
	})
}

func (w *writing) credential(c countersign.Credential) {
	w.exec(`INSERT INTO credentials (fingerprint, device, serial, issuer, not_before, not_after, state, added) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		c.Fingerprint[:], c.Device, c.Serial, c.Issuer, store.Milli(c.NotBefore), store.Milli(c.NotAfter), string(c.State), store.Milli(c.Added))
}

const credentialColumns = `fingerprint, device, serial, issuer, not_before, not_after, state, added`

func scanCredential(from interface{ Scan(...any) error }) (countersign.Credential, error) {
	var c countersign.Credential
	var fingerprint []byte
	var notBefore, notAfter, added int64
	err := from.Scan(&fingerprint, &c.Device, &c.Serial, &c.Issuer, &notBefore, &notAfter, &c.State, &added)
	copy(c.Fingerprint[:], fingerprint)
	c.NotBefore, c.NotAfter, c.Added = store.FromMilli(notBefore), store.FromMilli(notAfter), store.FromMilli(added)
	return c, err
}

func (s credentials) Of(ctx context.Context, device string) ([]countersign.Credential, error) {
	doing := "reading the credentials of device " + device
	rows, err := s.reader.QueryContext(ctx, `SELECT `+credentialColumns+` FROM credentials WHERE device = ? ORDER BY added DESC, fingerprint`, device)
	if err != nil {
		return nil, fault(doing, err)
	}
	defer rows.Close()
	var all []countersign.Credential
	for rows.Next() {
		c, err := scanCredential(rows)
		if err != nil {
			return nil, fault(doing, err)
		}
		all = append(all, c)
	}
	return all, fault(doing, rows.Err())
}

func (s credentials) Credential(ctx context.Context, fingerprint [32]byte) (countersign.Credential, error) {
	const doing = "looking up a credential"
	c, err := scanCredential(s.reader.QueryRowContext(ctx, `SELECT `+credentialColumns+` FROM credentials WHERE fingerprint = ?`, fingerprint[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return countersign.Credential{}, &store.Fault{Doing: doing, Kind: store.ErrUnknown}
	}
	return c, fault(doing, err)
}
