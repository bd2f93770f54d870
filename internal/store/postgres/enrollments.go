package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
)

type enrollments struct{ *db }

const enrollmentColumns = `d.id, coalesce(e.claim, ''), e.secret, e.pin, coalesce(e.asked, '[]'), e.chain, e.sealed_key, e.taken, e.fingerprint,
	coalesce(e.delivered, 'epoch'), coalesce(e.acknowledged, 'epoch')`

func scanEnrollment(from pgx.Row) (store.Enrollment, error) {
	var e store.Enrollment
	var asked []byte
	err := from.Scan(&e.Device, &e.Claim, &e.Secret, &e.Key, &asked, &e.Chain, &e.SealedKey, &e.Taken, &e.Fingerprint, &e.Delivered, &e.Acknowledged)
	if err != nil {
		return e, err
	}
	e.Delivered, e.Acknowledged = whole(e.Delivered), whole(e.Acknowledged)
	return e, json.Unmarshal(asked, &e.Asked)
}

const enrollment = `SELECT ` + enrollmentColumns + ` FROM devices d LEFT JOIN enrollments e ON e.device = d.id WHERE d.id = $1`

func (s enrollments) Enrollment(ctx context.Context, device string) (store.Enrollment, error) {
	doing := "looking up the enrollment of device " + device
	e, err := scanEnrollment(s.pool.QueryRow(ctx, enrollment, device))
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Enrollment{}, &store.Fault{Doing: doing, Kind: store.ErrUnknown}
	}
	return e, s.fault(doing, err)
}

func (s enrollments) Enroll(ctx context.Context, device string, edit func(*store.EnrollmentDraft) error) (store.Enrollment, error) {
	doing := "enrolling device " + device
	var now store.Enrollment
	err := s.write(ctx, doing, func(tx pgx.Tx) error {
		was, err := find(ctx, tx, doing, device)
		if err != nil {
			return err
		}
		draft := store.EnrollmentDraft{Draft: store.Draft{Device: was.Device}}
		draft.Device.Labels = maps.Clone(was.Labels)
		if draft.Enrollment, err = scanEnrollment(tx.QueryRow(ctx, enrollment, device)); err != nil {
			return err
		}
		if err := edit(&draft); err != nil {
			return err
		}
		if k := draft.NewKey; k != nil {
			// Whoever comes second waits here for the first, and then changes nothing.
			tag, err := tx.Exec(ctx, `INSERT INTO enrolled_keys (key, device) VALUES ($1, $2)
				ON CONFLICT (key) DO UPDATE SET device = $2 WHERE enrolled_keys.device = $2 AND NOT enrolled_keys.ended`, k, device)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				return &store.Fault{Doing: doing, Kind: store.ErrExists}
			}
		}
		if c := draft.Credential; c != nil {
			if err := addCredential(ctx, tx, doing, *c); err != nil {
				return err
			}
		}
		now = draft.Enrollment
		now.Device = device
		w := &writing{}
		if err := w.enrollment(now); err != nil {
			return err
		}
		if draft.Entry.What != "" {
			w.alter(was, draft.Device, draft.Entry)
		}
		return w.send(ctx, tx)
	})
	return now, err
}

// enrollment collects one.
func (w *writing) enrollment(e store.Enrollment) error {
	asked := []byte("[]")
	if len(e.Asked) > 0 {
		var err error
		if asked, err = json.Marshal(e.Asked); err != nil {
			return err
		}
	}
	w.Queue(`INSERT INTO enrollments (device, claim, secret, pin, asked, chain, sealed_key, taken, fingerprint, delivered, acknowledged)
		VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (device) DO UPDATE SET claim = $2, secret = $3, pin = $4, asked = $5::jsonb, chain = $6, sealed_key = $7, taken = $8,
			fingerprint = $9, delivered = $10, acknowledged = $11`,
		e.Device, e.Claim, e.Secret, e.Key, string(asked), e.Chain, e.SealedKey, e.Taken, e.Fingerprint, kept(e.Delivered), kept(e.Acknowledged))
	return nil
}

// end forgets what a device's credentials were got by.
func (w *writing) end(device string) {
	w.Queue(`UPDATE credentials SET state = 'revoked' WHERE device = $1 AND state = 'valid'`, device)
	w.Queue(`DELETE FROM enrollments WHERE device = $1`, device)
	w.Queue(`UPDATE enrolled_keys SET ended = true WHERE device = $1`, device)
}

func (s enrollments) Waiting(ctx context.Context, after string, limit int) ([]store.Enrollment, error) {
	const doing = "listing enrollments that wait"
	rows, err := s.pool.Query(ctx, `SELECT `+enrollmentColumns+` FROM enrollments e JOIN devices d ON d.id = e.device
		WHERE e.asked <> '[]' AND e.device > $1 ORDER BY e.device LIMIT $2`, after, limit)
	if err != nil {
		return nil, s.fault(doing, err)
	}
	defer rows.Close()
	var all []store.Enrollment
	for rows.Next() {
		e, err := scanEnrollment(rows)
		if err != nil {
			return nil, s.fault(doing, err)
		}
		all = append(all, e)
	}
	return all, s.fault(doing, rows.Err())
}

func (s enrollments) Acknowledge(ctx context.Context, fingerprint [32]byte, at time.Time) error {
	_, err := s.pool.Exec(ctx, `UPDATE enrollments SET acknowledged = $1 WHERE fingerprint = $2 AND acknowledged = 'epoch'`, kept(at), fingerprint[:])
	return s.fault("noting that a certificate is used", err)
}
